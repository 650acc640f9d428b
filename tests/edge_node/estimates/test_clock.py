"""Whose leg was long: uplink, worker or downlink."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.estimates.clock import ClockOffset

S = 1_000_000_000
MS = 1_000_000


def exchange(at_ns, *, offset_ns, up_ns, work_ns, down_ns):
    received_ns = at_ns + up_ns + offset_ns
    replied_ns = received_ns + work_ns
    return at_ns, received_ns, replied_ns, replied_ns - offset_ns + down_ns


@pytest.mark.parametrize("offset_ns", [0, 123_456 * S, -98_765 * S])
def test_asymmetric_waits_are_told_apart_to_a_fraction_of_a_millisecond(offset_ns):
    rng, clock, now_ns = random.Random(1), ClockOffset(), 0
    for _ in range(300):
        now_ns += 100 * MS
        up_ns = 2 * MS + round(rng.expovariate(1 / 6) * MS)
        down_ns = 2 * MS + round(rng.expovariate(1 / 1) * MS)
        stamps = exchange(now_ns, offset_ns=offset_ns, up_ns=up_ns, work_ns=5 * MS, down_ns=down_ns)
        clock.add(*stamps, now_ns=now_ns + 30 * MS)
    stamps = exchange(now_ns, offset_ns=offset_ns, up_ns=40 * MS, work_ns=5 * MS, down_ns=3 * MS)
    legs = clock.legs(*stamps)
    assert legs.worker_ns == 5 * MS
    assert legs.uplink_ns == pytest.approx(40 * MS, abs=0.5 * MS)
    assert legs.downlink_ns == pytest.approx(3 * MS, abs=0.5 * MS)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 500 * MS),
            st.integers(0, 500 * MS),
            st.integers(0, 500 * MS),
            st.integers(0, 20 * S),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(-(10**18), 10**18),
)
def test_legs_are_never_negative_and_sum_to_the_round_trip(rows, offset_ns):
    clock, now_ns = ClockOffset(), 0
    for up_ns, work_ns, down_ns, gap_ns in rows:
        now_ns += gap_ns
        stamps = exchange(now_ns, offset_ns=offset_ns, up_ns=up_ns, work_ns=work_ns, down_ns=down_ns)
        clock.add(*stamps, now_ns=now_ns)
        legs = clock.legs(*stamps)
        assert min(legs.uplink_ns, legs.worker_ns, legs.downlink_ns) >= 0
        assert legs.uplink_ns + legs.worker_ns + legs.downlink_ns == up_ns + work_ns + down_ns
        assert legs.worker_ns == work_ns


def test_a_drifting_clock_is_followed():
    clock, now_ns, drift = ClockOffset(), 0, 50e-6
    for _ in range(6_000):
        now_ns += 100 * MS
        stamps = exchange(now_ns, offset_ns=round(drift * now_ns), up_ns=3 * MS, work_ns=0, down_ns=3 * MS)
        clock.add(*stamps, now_ns=now_ns)
    assert clock.offset_ns == pytest.approx(drift * now_ns, abs=1 * MS)


def test_a_worker_that_started_anew_is_noticed_by_its_clock():
    clock = ClockOffset()
    clock.add(*exchange(0, offset_ns=500 * S, up_ns=2 * MS, work_ns=0, down_ns=2 * MS), now_ns=4 * MS)
    stamps = exchange(S, offset_ns=1 * S, up_ns=8 * MS, work_ns=0, down_ns=8 * MS)
    clock.add(*stamps, now_ns=S + 16 * MS)
    assert clock.offset_ns == 1 * S
    assert clock.legs(*stamps).uplink_ns == 8 * MS


def test_nothing_heard_tells_nothing():
    clock = ClockOffset()
    assert clock.offset_ns is None
    assert clock.legs(0, 1, 2, 3) is None
