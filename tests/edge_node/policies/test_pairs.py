"""At which of several pairs of cuts the policy ``deadline`` splits: by what crosses, by the head, and as before."""

from dataclasses import dataclass

import pytest
from policy_views import CHIP, FRAME_NS, MS, Chance, S, pair, view

from edge_node.decide import POLICIES, Path
from edge_node.policies.base import TOO_LATE_FOR_PARTS
from edge_node.policies.berth import FIRST_HOLD_NS
from edge_node.policies.deadline import MARGIN
from schemas.documents import SplitConfig
from schemas.placements import Placement

EARLY, LATE = Placement(start=4, end=63), Placement(start=20, end=59)
DEAR = 10  # a joule
NARROW_BYTES, WIDE_BYTES = 50_000, 150_000
SURE = {"p_now": 0.999, "p_hedged": 0.999}


@dataclass(frozen=True, kw_only=True)
class Rate(Chance):
    """Answers are there once so many bytes crossed."""

    crossing_ns: int = 0

    def p_at(self, budget_ns):
        return self.p if budget_ns > self.crossing_ns else 0.0


def crossing(payload_bytes, *, mbps):
    return Rate(p=0.99, crossing_ns=round(payload_bytes * 8 / mbps * 1000))


def early(*, mbps=1000, **fields):
    """Cut behind a light head: much crosses."""
    forecast = crossing(WIDE_BYTES, mbps=mbps)
    return pair(at=(4, 63), forecast=forecast, payload_bytes=WIDE_BYTES, head_ns=2 * MS, **fields)


def late(*, mbps=1000, head_ms=9.0, **fields):
    """Cut behind a heavy head: little crosses."""
    forecast = crossing(NARROW_BYTES, mbps=mbps)
    return pair(
        at=(20, 59), forecast=forecast, payload_bytes=NARROW_BYTES, head_ns=round(head_ms * MS), **fields
    )


class Rider:
    """The policy asked once a frame, where frames may stay or be split."""

    def __init__(self, **config):
        tiers = {"tiers": ("local", "split"), "weights": {"energy": DEAR}}
        self.policy = POLICIES["deadline"](SplitConfig.model_validate({**tiers, **config}))
        self.now_ns = 0
        self.paths = []

    def ride(self, duration_ns, *pairs, **fields):
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            told = view(now_ns=self.now_ns, pairs=pairs, offloads=(), **{**SURE, **fields})
            decision = self.policy.decide(told)
            self.paths.append(decision.path)
            self.now_ns += FRAME_NS
        return decision


def why_not(decision):
    return {str(row.placement): row.why_not for row in decision.considered if row.path is Path.SPLIT}


@pytest.mark.parametrize("turned", [False, True], ids=["as written", "the other way round"])
@pytest.mark.parametrize(("mbps", "at"), [(1000, EARLY), (10, LATE)], ids=["fast", "slow"])
def test_a_fast_uplink_takes_the_lighter_head_and_a_slow_one_the_fewer_bytes(mbps, at, turned):
    pairs = (early(mbps=mbps), late(mbps=mbps))
    decision = Rider().ride(2 * S, *(pairs[::-1] if turned else pairs))
    assert (decision.path, decision.placement, decision.worker) == (Path.SPLIT, at, "w-2")
    other = next(placement for placement in (EARLY, LATE) if placement != at)
    assert why_not(decision) == {str(at): "", str(other): f"the model is cut at {at}"}


def test_a_pair_nobody_proved_says_so_and_is_asked_for_and_the_other_goes():
    unproved = pair(at=(4, 63), reason="w-2 has not proved this placement yet")
    decision = Rider().ride(2 * S, unproved, late())
    assert (decision.path, decision.placement) == (Path.SPLIT, LATE)
    assert why_not(decision) == {"4:63": "w-2 has not proved this placement yet", "20:59": ""}
    assert decision.unproved == (unproved,)


def test_a_pair_whose_head_would_be_done_too_late_leaves_the_other():
    decision = Rider().ride(2 * S, early(), late(too_late=True))
    assert (decision.placement, why_not(decision)["20:59"]) == (EARLY, TOO_LATE_FOR_PARTS)


def test_where_no_pair_can_go_each_says_what_it_lacks():
    decision = Rider().ride(2 * S, pair(at=(4, 63), reason="not yet"), late(mbps=1))
    assert decision.path is Path.LOCAL
    floor = SplitConfig().on_time_floor
    assert why_not(decision) == {
        "4:63": "not yet",
        "20:59": f"only 0.00 to be back in time, asked are {floor:.2f}",
    }


def test_a_pair_is_kept_while_the_other_scores_hardly_better():
    spared_j = CHIP.power.radio_j(payload_bytes=WIDE_BYTES - NARROW_BYTES, awake_ns=0)
    hardly, clearly = (
        late(head_ms=2 + 1000 * (spared_j - share * MARGIN / DEAR) / CHIP.power.busy_w)
        for share in (0.9, 1.1)
    )
    rider = Rider()
    assert rider.ride(2 * S, early(), late()).placement == EARLY
    assert rider.ride(20 * S, early(), hardly).placement == EARLY
    assert rider.ride(2 * S, early(), clearly).placement == LATE


def test_another_pair_takes_over_once_it_was_better_for_a_while_and_the_way_does_not_change():
    rider = Rider()
    rider.ride(2 * S, early(), late())
    assert rider.ride(FIRST_HOLD_NS, early(), late(head_ms=0.1)).placement == EARLY
    assert rider.ride(2 * FRAME_NS, early(), late(head_ms=0.1)).placement == LATE
    assert Path.LOCAL not in rider.paths[rider.paths.index(Path.SPLIT) :]


def test_while_no_frame_is_split_the_better_pair_is_told_at_once():
    rider = Rider()
    heavy = {"head_ms": 40, "mbps": 1000}  # heavier than a whole run
    pairs = [pair(at=(4, 63), head_ns=ms * MS) for ms in (60, 50)]
    for first in pairs:
        decision = rider.ride(FRAME_NS, first, late(**heavy))
        assert decision.path is Path.LOCAL
        assert why_not(decision)["4:63"] == "the model is cut at 20:59"
    light = pair(at=(4, 63), head_ns=30 * MS)
    assert why_not(rider.ride(FRAME_NS, light, late(**heavy)))["20:59"] == "the model is cut at 4:63"


def test_another_pair_takes_over_at_once_where_what_crosses_would_be_late():
    rider = Rider()
    rider.ride(2 * S, early(), late())
    decision = rider.ride(FRAME_NS, early(mbps=10), late(mbps=10))
    assert (decision.path, decision.placement) == (Path.SPLIT, LATE)


def test_a_pair_that_was_lost_for_a_moment_is_come_back_to_more_slowly_each_time():
    rider, held = Rider(), []
    rider.ride(2 * S, early(), late())
    for _ in range(3):
        rider.ride(FRAME_NS, early(mbps=10), late(mbps=10))
        began_ns = rider.now_ns
        while rider.ride(FRAME_NS, early(), late()).placement == LATE:
            assert rider.now_ns - began_ns < 60 * S
        held.append(rider.now_ns - began_ns)
    assert held[0] < held[1] < held[2]


def test_one_critical_frame_is_split_at_no_pair():
    decision = Rider().ride(2 * S, early(), late(), critical=True)
    assert decision.path is Path.LOCAL
    assert len(set(why_not(decision).values())) == 1
