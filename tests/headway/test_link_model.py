"""The link model on a virtual clock: order, rates, recorded delays and losses."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.link_jitter import JITTERS
from headway.link_model import LEAST_RTO_NS, MS_NS, S_NS, LinkModel
from headway.link_spec import (
    DelayTrace,
    DeliveryTrace,
    Direction,
    Jitter,
    Leg,
    LinkSpec,
    LinkSpecError,
    Phase,
    Window,
)

UP, DOWN = Direction.UP, Direction.DOWN
legs = st.builds(
    Leg,
    delay_ms=st.floats(0, 50),
    jitter=st.builds(Jitter, kind=st.sampled_from(list(JITTERS)), mean_ms=st.floats(0, 20)),
    rate_bytes_per_s=st.none() | st.floats(1e4, 1e8),
    loss=st.floats(0, 0.5),
)
windows = st.builds(
    Window,
    at_s=st.floats(0, 3),
    for_s=st.floats(0, 3),
    directions=st.sampled_from([(UP,), (DOWN,), (UP, DOWN)]),
)
cuts = st.builds(Window, at_s=st.floats(0, 3), for_s=st.floats(0, 3))
deliveries = st.lists(st.integers(0, 40), min_size=1).map(
    lambda times: DeliveryTrace(opportunities_ms=(*sorted(times), 41))
)


@st.composite
def specs(draw):
    later = sorted(draw(st.sets(st.floats(0.1, 3), max_size=2)))
    return LinkSpec(
        phases=tuple(Phase(at_s=at_s, up=draw(legs), down=draw(legs)) for at_s in [0.0, *later]),
        stalls=tuple(draw(st.lists(windows, max_size=3))),
        cuts=tuple(draw(st.lists(cuts, max_size=2))),
        trace=draw(st.none() | st.just(DelayTrace(rtts_ms=(20.0, 300.0, 5.0), interval_s=0.3))),
        up_deliveries=draw(st.none() | deliveries),
    )


sends = st.lists(st.tuples(st.integers(0, 200 * MS_NS), st.integers(0, 60_000)), max_size=40)


@settings(deadline=None)  # a busy machine may pause any example
@given(specs(), sends, st.integers(0, 2**32), st.integers(0, 10 * S_NS))
def test_what_enters_comes_out_later_in_order_and_never_inside_a_stop(spec, batches, seed, start_ns):
    model = LinkModel(spec, seed=seed, start_ns=start_ns)
    for direction in Direction:
        now_ns, before_ns = start_ns, 0
        for gap_ns, size in batches:
            now_ns += gap_ns
            released_ns = model.release_ns(direction, now_ns, size)
            assert released_ns >= max(now_ns, before_ns)
            for window in spec.stalls + spec.cuts:
                if direction in window.directions:
                    at_ns = start_ns + round(window.at_s * S_NS)
                    assert not at_ns <= released_ns < start_ns + round((window.at_s + window.for_s) * S_NS)
            before_ns = released_ns


@settings(deadline=None)  # a busy machine may pause any example
@given(specs(), sends, st.integers(0, 2**32))
def test_the_same_seed_is_the_same_link(spec, batches, seed):
    one, two = LinkModel(spec, seed=seed), LinkModel(spec, seed=seed)
    now_ns = 0
    for gap_ns, size in batches:
        now_ns += gap_ns
        assert one.release_ns(UP, now_ns, size) == two.release_ns(UP, now_ns, size)


def last_release_ns(model, direction, *, total, piece=1400):
    return [model.release_ns(direction, 0, piece) for _ in range(total // piece)][-1]


@pytest.mark.parametrize("piece", [100, 1400, 50_000])
def test_the_mean_rate_is_the_asked_one_in_each_direction(piece):
    spec = LinkSpec.even(delay_ms=5, up_bytes_per_s=1_000_000, down_bytes_per_s=4_000_000)
    model, total = LinkModel(spec, seed=1), 5_000_000
    for direction, rate in ((UP, 1_000_000), (DOWN, 4_000_000)):
        took_s = last_release_ns(model, direction, total=total, piece=piece) / S_NS - 0.005
        assert total / took_s == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("piece", [700, 1500, 40_000])
def test_a_full_link_has_the_mean_rate_of_its_recorded_deliveries(piece):
    trace = DeliveryTrace(opportunities_ms=tuple(sorted([*range(1, 1001, 3), 400, 401, 401, 401, 1000])))
    model, total = LinkModel(LinkSpec(up_deliveries=trace), seed=1), 6_000_000
    took_s = last_release_ns(model, UP, total=total, piece=piece) / S_NS
    assert total / took_s == pytest.approx(trace.mean_bytes_per_s, rel=0.02)


def test_an_opportunity_that_nobody_waited_for_is_gone_and_a_shared_one_is_shared():
    model = LinkModel(LinkSpec(up_deliveries=DeliveryTrace(opportunities_ms=(2, 5, 10))), seed=1)
    assert model.release_ns(UP, 3 * MS_NS, 700) == 5 * MS_NS
    assert model.release_ns(UP, 3 * MS_NS, 700) == 5 * MS_NS
    assert model.release_ns(UP, 3 * MS_NS, 700) == 10 * MS_NS
    assert model.release_ns(UP, 11 * MS_NS, 3_000) == 15 * MS_NS


def test_a_rate_that_changes_while_bytes_leave_counts_for_the_rest_of_them():
    slow, fast = Leg(rate_bytes_per_s=1_000_000), Leg(rate_bytes_per_s=2_000_000)
    stall = Window(at_s=0.02, for_s=0.1, directions=(UP,))
    model = LinkModel(LinkSpec(phases=(Phase(up=slow), Phase(at_s=0.01, up=fast)), stalls=(stall,)), seed=1)
    # 10 ms at the first rate, 10 ms at the second, a stall of 100 ms, then 5 ms for the last 10,000 bytes
    assert model.release_ns(UP, 0, 40_000) == 125 * MS_NS
    assert model.release_ns(DOWN, 0, 40_000) == 0


@settings(deadline=None)  # a busy machine may pause any example
@given(st.lists(st.floats(1, 60), min_size=50, max_size=300))
def test_delays_have_the_quantiles_of_the_recorded_round_trips(rtts_ms):
    model = LinkModel(LinkSpec(trace=DelayTrace(rtts_ms=tuple(rtts_ms))), seed=1)
    seen = []
    for second in range(len(rtts_ms)):
        now_ns = second * S_NS + S_NS // 2
        there_ns = model.release_ns(UP, now_ns, 64)
        seen.append((model.release_ns(DOWN, there_ns, 64) - now_ns) / MS_NS)
    assert sorted(seen) == pytest.approx(sorted(rtts_ms), abs=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in JITTERS if kind != "none"])
def test_every_jitter_has_its_mean(kind):
    spec = LinkSpec.even(delay_ms=3, jitter=Jitter(kind=kind, mean_ms=4))
    model = LinkModel(spec, seed=5)
    delays_ms = [  # each in a flow of its own, so that order does not add to the delay
        model.release_ns(UP, number * 10 * MS_NS, 64, flow=number) / MS_NS - number * 10
        for number in range(40_000)
    ]
    assert sum(delays_ms) / len(delays_ms) == pytest.approx(7, rel=0.04)
    assert min(delays_ms) >= 3


def test_a_loss_with_nothing_behind_it_stalls_for_the_retransmission_timeout():
    spec = LinkSpec.even(delay_ms=10, loss=0.02)
    model = LinkModel(spec, seed=3)
    delays_ns = [
        model.release_ns(UP, number * 100 * S_NS, 1000) - number * 100 * S_NS for number in range(20_000)
    ]
    stalled = [delay for delay in delays_ns if delay > 10 * MS_NS]
    assert len(stalled) / len(delays_ns) == pytest.approx(0.02, rel=0.15)
    assert min(stalled) == LEAST_RTO_NS + 10 * MS_NS
    assert max(stalled) >= 3 * LEAST_RTO_NS  # a lost retransmission waits twice as long


def test_a_loss_with_enough_behind_it_costs_a_round_trip():
    model = LinkModel(LinkSpec.even(delay_ms=10, loss=0.002), seed=3)
    extra = [
        model.release_ns(UP, number * 100 * S_NS, 60_000) - number * 100 * S_NS - 10 * MS_NS
        for number in range(5_000)
    ]
    stalled = sorted(delay for delay in extra if delay)
    assert len(stalled) / len(extra) == pytest.approx(1 - 0.998**42, rel=0.15)
    assert stalled[len(stalled) // 2] == 20 * MS_NS


def test_what_follows_a_loss_waits_in_its_own_flow_alone():
    model = LinkModel(LinkSpec.even(loss=0.9), seed=1)
    stalled_ns = model.release_ns(UP, 0, 1000, flow=1)
    assert stalled_ns >= LEAST_RTO_NS
    model.become(LinkSpec.even(), now_ns=MS_NS)
    assert model.release_ns(UP, MS_NS, 1000, flow=1) == stalled_ns
    assert model.release_ns(UP, MS_NS, 1000, flow=2) == MS_NS
    model.forget(1)
    assert model.release_ns(UP, MS_NS, 1000, flow=1) == MS_NS


def test_the_weather_is_the_same_for_one_who_sends_more():
    spec = LinkSpec.even(jitter=Jitter(kind="pareto", mean_ms=3), loss=0.05)
    alone, busy = LinkModel(spec, seed=9), LinkModel(spec, seed=9)
    for number in range(300):
        now_ns = number * 1000 * MS_NS
        expected = alone.release_ns(UP, now_ns, 900, flow=number)
        assert busy.release_ns(UP, now_ns, 900, flow=number) == expected
        busy.release_ns(UP, now_ns + 33 * MS_NS, 50_000, flow=number)


def test_a_cut_keeps_connections_out_until_it_ends():
    spec = LinkSpec.even(cuts=(Window(at_s=1, for_s=2), Window(at_s=2, for_s=2)))
    model = LinkModel(spec, seed=1, start_ns=7 * S_NS)
    assert [model.is_cut(at_s * S_NS) for at_s in (7, 8, 10, 11)] == [False, True, True, False]
    assert model.cut_ends_ns(9 * S_NS) == 11 * S_NS
    assert model.release_ns(DOWN, 9 * S_NS, 10) == 11 * S_NS


def test_steps_take_effect_at_their_time():
    phases = (Phase(up=Leg(delay_ms=1)), Phase(at_s=5, up=Leg(delay_ms=40)), Phase(at_s=9))
    model = LinkModel(LinkSpec(phases=phases), seed=1)
    delays = [model.release_ns(UP, at_s * S_NS, 10) - at_s * S_NS for at_s in (0, 4, 5, 8, 9)]
    assert delays == [MS_NS, MS_NS, 40 * MS_NS, 40 * MS_NS, 0]
    assert [model.rtt_ns(at_s * S_NS) // MS_NS for at_s in (0, 5)] == [1, 40]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Jitter(kind="gaussian"), "write one of none, uniform"),
        (lambda: Jitter(kind="uniform", mean_ms=-1), "mean_ms"),
        (lambda: Leg(delay_ms=float("nan")), "delay_ms"),
        (lambda: Leg(rate_bytes_per_s=0), "or a stall"),
        (lambda: Leg(loss=1.0), "or a cut"),
        (lambda: Window(at_s=-1, for_s=1), "at_s"),
        (lambda: DelayTrace(rtts_ms=()), "at least one"),
        (lambda: DelayTrace(rtts_ms=(1.0,), interval_s=0), "interval_s"),
        (lambda: DeliveryTrace(opportunities_ms=(3, 1)), "sort"),
        (lambda: DeliveryTrace(opportunities_ms=(0,)), "end after 0"),
        (lambda: LinkSpec(phases=()), "start the first at 0"),
        (lambda: LinkSpec(cuts=(Window(at_s=0, for_s=1, directions=(UP,)),)), "write a stall"),
    ],
)
def test_values_that_no_link_has_are_refused_with_advice(make, told):
    with pytest.raises(LinkSpecError, match=told):
        make()


def test_times_of_release_never_go_back_under_recorded_drops_of_delay():
    model = LinkModel(LinkSpec(trace=DelayTrace(rtts_ms=(400.0, 4.0))), seed=1)
    released = [model.release_ns(UP, number * 33 * MS_NS, 20_000) for number in range(200)]
    assert all(later >= earlier for earlier, later in pairwise(released))
