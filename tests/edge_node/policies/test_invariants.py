"""Whatever the policy ``deadline`` is told, what it says holds together."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_views import CHIP, FRAME_NS, MS, pair, rung, view

from edge_node.decide import POLICIES, LocalView, Path
from edge_node.device_class import Thermal
from edge_node.policies.deadline import DOWN_SHARE
from edge_node.policies.steps import CUT_NS, MOST_SWITCHES, SWITCHES_WITHIN_NS
from edge_node.vitals import Vitals
from schemas.documents import SplitConfig

SHARE = st.floats(0, 1)
QUALITIES = (80, 50, 30)
CONFIGS = st.fixed_dictionaries(
    {
        "tiers": st.sets(st.sampled_from(["local", "split", "offload"]), min_size=1).map(tuple),
        "on_time_floor": SHARE,
        "battery_floor": SHARE,
    },
    optional={
        "uplink_ceiling_kbps": st.integers(1, 10_000),
        "heat_ceiling_c": st.floats(30, 60),
        "weights": st.fixed_dictionaries(
            {}, optional={name: st.floats(0, 1000) for name in ("energy", "cost", "quality")}
        ),
    },
)
BODIES = st.none() | st.builds(
    Vitals,
    battery_fraction=SHARE,
    temperature_c=st.floats(0, 60),
    thermal=st.sampled_from(Thermal),
    throttle_in_s=st.none() | st.floats(0, 1000),
)
RUNGS = st.tuples(SHARE, SHARE, SHARE, st.integers(1000, 100_000), st.integers(0, 9)).map(
    lambda told: tuple(
        rung(p, quality=quality, payload_bytes=told[3] * quality // 80, samples=told[4])
        for p, quality in zip(told[:3], QUALITIES, strict=True)
    )
)
PAIR = st.fixed_dictionaries(
    {
        "p": SHARE,
        "reason": st.sampled_from(["", "", "not yet"]),
        "payload_bytes": st.integers(0, 200_000),
        "head_ns": st.integers(0, 30 * MS),
        "too_late": st.booleans(),
    }
)
PAIRS = st.lists(PAIR, max_size=4).map(
    lambda told: tuple(pair(at=(20 - number, 59), **known) for number, known in enumerate(told))
)
MOMENTS = st.fixed_dictionaries(
    {
        "offloads": st.just(()) | RUNGS,
        "worker": st.sampled_from([None, "w-1", "w-1", "w-1"]),
        "ready": st.sampled_from([True, True, True, False]),
        "pairs": PAIRS,
        "chip": st.none() | st.integers(1, 90).map(lambda run_ms: replace(CHIP, run_ns=run_ms * MS)),
        "vitals": BODIES,
        "critical": st.booleans(),
        "may_duplicate": st.booleans(),
        "local": st.none() | st.tuples(SHARE, SHARE),
    }
)
STORIES = st.lists(st.tuples(MOMENTS, st.integers(1, 60)), min_size=1, max_size=12)


def asked(moment, now_ns):
    local = moment["local"]
    known = {**moment, "local": None}
    if local is not None:
        known["local"] = LocalView(p_now=local[0], p_hedged=local[1], hedge_at_ns=now_ns + 60 * MS)
    return view(now_ns=now_ns, **known)


def check_one(decision, told, config):
    assert decision.reason
    assert (decision.worker is None) is (decision.path is Path.LOCAL)
    taken = [row for row in decision.considered if not row.why_not]
    if not decision.considered:
        assert decision.path is Path.LOCAL
        return
    (row,) = taken
    here = decision.considered[0]
    assert (row.path, row.worker, row.quality) == (decision.path, decision.worker, decision.quality)
    assert row.placement == decision.placement
    assert all(0 <= row.p_on_time <= 1 and row.energy_j >= 0 for row in decision.considered)
    if decision.path is Path.LOCAL:
        assert not decision.duplicate
        return
    assert decision.path.value in config.tiers
    assert row.p_remote >= DOWN_SHARE * config.on_time_floor or row.unsure or row.p_on_time > here.p_on_time
    if decision.path is Path.SPLIT:
        assert not told.critical
        (taken,) = [pair for pair in told.pairs if pair.placement == decision.placement]
        assert not taken.part.reason
        assert not taken.too_late
    else:
        assert decision.duplicate or not told.critical


@settings(max_examples=150, deadline=None)
@given(CONFIGS, STORIES)
def test_a_decision_is_one_of_its_rows_and_within_what_the_operator_allows(fields, story):
    config = SplitConfig.model_validate(fields)
    policy = POLICIES["deadline"](config)
    now_ns, before, switches, blocked_ns, clean_ns = 0, Path.LOCAL, [], 0, 0
    for moment, frames in story:
        for _ in range(frames):
            told = asked(moment, now_ns)
            decision = policy.decide(told)
            check_one(decision, told, config)
            blocked = told.worker is None or not told.ready
            blocked_ns = blocked_ns + FRAME_NS if blocked else 0
            if blocked_ns > CUT_NS:
                clean_ns = now_ns
            if decision.path is not before and not blocked:  # nobody chose what a blocked link forces
                switches.append(now_ns)
                before = decision.path
            lately = [at for at in switches if at > max(now_ns - SWITCHES_WITHIN_NS, clean_ns)]
            assert len(lately) <= MOST_SWITCHES
            now_ns += FRAME_NS
