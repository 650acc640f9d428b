"""The policy ``deadline`` told chances: up slowly, down for a reason, never back and forth. And two to compare with."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_views import BUDGET_NS, FRAME_NS, MS, Chance, S, rung, view

from edge_node.decide import POLICIES, Path
from edge_node.policies.deadline import DOWN_SHARE, TOLERANCE
from edge_node.policies.scoring import LEAST_SAMPLES
from edge_node.policies.steps import (
    BEAR_NS,
    CALM_NS,
    CUT_NS,
    FIRST_HOLD_NS,
    MOST_HOLD_NS,
    MOST_SWITCHES,
    SWITCHES_WITHIN_NS,
)
from schemas.documents import SplitConfig

FLOOR = 0.5
CLIMBS = MOST_SWITCHES // 2  # of a minute


class Rider:
    """A policy asked once per frame, and the frames at which it changed its mind."""

    def __init__(self, *, now_ns=0, **config):
        self.policy = POLICIES["deadline"](
            SplitConfig(policy="deadline", **{"on_time_floor": FLOOR, **config})
        )
        self.now_ns = now_ns
        self.up = False
        self.climbs, self.falls = [], []

    def ask(self, p=0.9, *, step_ns=FRAME_NS, **fields):
        sure_here = {"p_now": 0.99, "p_hedged": 0.99}
        decision = self.policy.decide(view(p, now_ns=self.now_ns, **{**sure_here, **fields}))
        up = decision.path is Path.OFFLOAD
        if up is not self.up:
            (self.climbs if up else self.falls).append(self.now_ns)
            self.up = up
        self.now_ns += step_ns
        return decision

    def ride(self, p, duration_ns, **fields):
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            self.ask(p, **fields)
        return self

    def ride_until_up(self, p=0.9, *, limit_ns=120 * S):
        """How long good chances had to last."""
        begun_ns = self.now_ns
        while self.ask(p).path is Path.LOCAL:
            assert self.now_ns < begun_ns + limit_ns, "it never leaves"
        return self.climbs[-1] - begun_ns

    def fall(self, p=0.0):
        """A bad chance that lasts."""
        while self.ask(p).path is not Path.LOCAL:
            pass
        return self


UNKNOWN = {
    "nothing is known": {"offloads": ()},
    "too little is known": {"offloads": (rung(1.0, samples=LEAST_SAMPLES - 1),)},
    "no worker is online": {"worker": None},
    "the link is not ready": {"ready": False},
}


@pytest.mark.parametrize("reason", sorted(UNKNOWN))
def test_it_stays_while_nobody_can_be_reached_or_nothing_is_known(reason):
    rider = Rider().ride(1.0, 5 * S, **UNKNOWN[reason])
    decision = rider.ask(1.0, **UNKNOWN[reason])
    assert (decision.path, decision.worker, rider.climbs) == (Path.LOCAL, None, [])
    assert reason in decision.reason
    assert rider.policy.wants_probes()


def test_tiers_of_local_only_keep_frames_here_and_send_no_probes():
    rider = Rider(tiers=("local",)).ride(1.0, 5 * S)
    assert rider.ask(1.0).reason == "tiers allow nothing but local"
    assert rider.climbs == []
    assert not rider.policy.wants_probes()


def test_it_leaves_at_the_first_good_chance_where_nothing_is_held_against_the_link():
    rider = Rider()
    assert rider.ask(0.9 * FLOOR).path is Path.LOCAL
    assert rider.policy.wants_probes()
    decision = rider.ask()
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-1")
    assert not rider.policy.wants_probes()


def fallen():
    rider = Rider()
    rider.ride_until_up()
    return rider.fall()


def test_after_a_fall_it_leaves_when_chances_were_good_for_a_while_and_not_before():
    rider = fallen()
    begun_ns = rider.now_ns
    rider.ask(step_ns=FIRST_HOLD_NS - 1)
    early = rider.ask(step_ns=1)
    assert (early.path, rider.policy.wants_probes()) == (Path.LOCAL, True)
    assert early.reason.startswith("good for")
    decision = rider.ask()
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-1")
    assert rider.climbs[-1] == begun_ns + FIRST_HOLD_NS


def test_one_bad_chance_on_the_way_up_starts_the_wait_again():
    rider = fallen()
    rider.ride(0.9, FIRST_HOLD_NS - 2 * FRAME_NS)
    rider.ask(0.9 * FLOOR)
    again_ns = rider.now_ns
    rider.ride_until_up()
    assert rider.climbs[-1] - again_ns >= FIRST_HOLD_NS


def test_it_falls_when_a_bad_chance_lasts_and_probes_again():
    rider = Rider()
    rider.ride_until_up()
    begun_ns = rider.now_ns
    decision = rider.fall(0.1).ask(0.1)
    assert BEAR_NS <= rider.falls[0] - begun_ns < BEAR_NS + FRAME_NS
    assert (decision.path, decision.worker) == (Path.LOCAL, None)
    assert "only 0.10" in decision.reason
    assert rider.policy.wants_probes()


def test_bad_chances_for_a_moment_are_borne_one_by_one():
    rider = Rider()
    rider.ride_until_up()
    for _ in range(100):
        rider.ask(0.9)
        rider.ride(0.1, BEAR_NS - FRAME_NS)
    assert rider.falls == []


def test_a_frame_that_is_borne_says_so():
    assert "borne for now: only 0.00" in fallen_again(Rider())


def fallen_again(rider):
    rider.now_ns += SWITCHES_WITHIN_NS
    rider.ride_until_up()
    return rider.ask(0.0).reason


@pytest.mark.parametrize(("p_hedged", "duplicate"), [(0.95, False), (0.8, True)])
def test_a_frame_that_is_borne_is_as_sure_as_one_that_stays_by_its_own_run_at_once_where_need_be(
    p_hedged, duplicate
):
    rider = Rider(duplicates_per_s=0, duplicates_burst=0)
    rider.ride_until_up()
    decision = rider.ask(0.1, p_now=0.95, p_hedged=p_hedged)
    assert (decision.path, decision.duplicate) == (Path.OFFLOAD, duplicate)
    assert decision.p_on_time >= 0.95


def test_a_frame_that_has_little_to_lose_here_leaves_for_less_and_none_floods_a_dead_link():
    assert Rider().ride(0.3, S, p_now=0.6, p_hedged=0.6).up
    assert not Rider().ride(0.2, S, p_now=0.95, p_hedged=0.95).up
    assert not Rider().ride(0.05, S, p_now=0.0, p_hedged=0.0).up


def test_a_frame_that_leaves_for_little_goes_on_leaving_for_less():
    little = {"p_now": 0.6, "p_hedged": 0.6}
    rider = Rider().ride(0.3, S, **little)
    assert rider.ride(0.1, 5 * S, **little).falls == []
    assert not Rider().ride(0.1, 5 * S, **little).up
    assert rider.ride(0.01, S, **little).falls


@pytest.mark.parametrize("p", [FLOOR * DOWN_SHARE, 0.9 * FLOOR, FLOOR - 1e-9])
def test_between_the_two_floors_a_frame_goes_where_the_last_one_went(p):
    below = Rider().ride(p, 3 * S)
    assert below.climbs == []
    above = Rider()
    above.ride_until_up()
    above.ride(p, 3 * S)
    assert above.falls == []
    assert above.ride(FLOOR * DOWN_SHARE - 1e-9, 2 * BEAR_NS).falls


def test_the_floor_itself_is_enough_to_go_up():
    assert Rider().ride_until_up(FLOOR) == 0


def test_the_wait_doubles_after_every_quick_fall_up_to_a_bound():
    rider, waits_ns = Rider(), []
    for _ in range(10):
        waits_ns.append(rider.ride_until_up())
        rider.fall()
        rider.now_ns += SWITCHES_WITHIN_NS  # so that there is room for it
    holds_ns = [0, *(min(MOST_HOLD_NS, FIRST_HOLD_NS << number) for number in range(9))]
    for wait_ns, hold_ns in zip(waits_ns, holds_ns, strict=True):
        assert hold_ns <= wait_ns < hold_ns + FRAME_NS
    assert waits_ns[-1] >= MOST_HOLD_NS


def test_a_calm_time_above_makes_the_next_climb_quick_again():
    rider = Rider()
    for _ in range(2):
        rider.ride_until_up()
        rider.fall()
    assert rider.ride_until_up() >= 2 * FIRST_HOLD_NS
    rider.ride(0.9, CALM_NS + FRAME_NS)
    rider.now_ns += SWITCHES_WITHIN_NS
    rider.fall()
    assert rider.ride_until_up() < FIRST_HOLD_NS + FRAME_NS


def worn_out():
    rider = Rider()
    for _ in range(CLIMBS):
        rider.ride_until_up()
        rider.fall()
    return rider


def test_a_link_that_was_cut_has_nothing_held_against_it():
    rider = worn_out().ride(0.0, CUT_NS + 2 * FRAME_NS, ready=False)
    assert rider.ride_until_up() < FIRST_HOLD_NS + FRAME_NS


def test_a_way_is_kept_while_its_link_is_blocked_for_a_moment_though_frames_stay():
    rider = Rider()
    rider.ride_until_up()
    for _ in range(100):
        assert rider.ride(0.1, BEAR_NS, ready=False).up
        decision = rider.ask(ready=False)
        assert (decision.path, decision.duplicate) == (Path.LOCAL, False)
        rider.ride(0.9, CUT_NS - 2 * BEAR_NS, ready=False)
        assert rider.ask().path is Path.OFFLOAD


def test_a_link_blocked_for_a_moment_is_no_reason_to_keep_frames_here_and_they_risk_nothing():
    rider = Rider(duplicates_per_s=0, duplicates_burst=0)
    rider.ride_until_up()
    for _ in range(100):
        decision = rider.ask(0.0, ready=False, p_now=0.95, p_hedged=0.6)
        assert (decision.path, decision.duplicate) == (Path.OFFLOAD, True)
        assert decision.reason.endswith("borne for now: the link is not ready")
        assert decision.p_on_time == pytest.approx(0.95)
        rider.ask()
    assert rider.falls == []
    assert rider.ask(worker=None).path is Path.LOCAL


def test_a_way_whose_link_is_cut_is_left_once():
    rider = Rider()
    rider.ride_until_up()
    rider.ride(0.9, 5 * S, ready=False)
    assert len(rider.falls) == 1
    assert rider.policy.wants_probes()


def test_a_link_that_was_blocked_for_a_moment_is_only_unsteady():
    rider = worn_out().ride(0.0, CUT_NS - FRAME_NS, ready=False)
    assert rider.ride_until_up() > FIRST_HOLD_NS + FRAME_NS


def test_after_six_changes_within_a_minute_it_waits_for_the_minute_to_end_and_says_so():
    rider = worn_out()
    rider.ride(0.9, 10 * S)
    assert "the link is not steady" in rider.ask().reason
    rider.ride_until_up()
    assert rider.climbs[-1] - rider.climbs[0] >= SWITCHES_WITHIN_NS


def test_where_staying_is_surer_the_frame_stays():
    rider = Rider().ride(0.6, 3 * S, p_now=1.0, p_hedged=0.0)
    decision = rider.ask(0.6, p_now=1.0, p_hedged=0.0)
    assert (decision.path, rider.climbs) == (Path.LOCAL, [])
    assert decision.reason == "staying is surer: 1.000 against 0.600"


@pytest.mark.parametrize(("p_hedged", "leaves"), [(0.99, True), (0.98, False)])
def test_where_the_run_that_begins_later_all_but_makes_up_for_it_the_frame_leaves(p_hedged, leaves):
    p_now = 0.999
    rider = Rider().ride(0.6, 400 * MS, p_now=p_now, p_hedged=p_hedged)
    assert (1 - 0.4 * (1 - p_hedged) >= p_now - TOLERANCE) is leaves
    assert rider.up is leaves


def test_the_chance_of_a_frame_that_leaves_counts_the_later_run_and_both_ways_are_listed():
    rider = Rider()
    rider.ride_until_up()
    decision = rider.ask(0.8, p_now=0.9, p_hedged=0.7)
    here, out = decision.considered
    assert decision.p_on_time == out.p_on_time == pytest.approx(1 - 0.2 * 0.3)
    assert (out.path, out.worker, out.why_not) == (Path.OFFLOAD, "w-1", "")
    assert (here.path, here.worker, here.p_on_time) == (Path.LOCAL, None, 0.9)
    assert here.why_not
    assert not decision.duplicate


def test_a_frame_that_stays_tells_its_own_chance_and_why_the_other_way_was_not_taken():
    decision = Rider().ask(0.2, p_now=0.9, p_hedged=0.7)
    here, out = decision.considered
    assert decision.p_on_time == here.p_on_time == 0.9
    assert out.p_on_time == pytest.approx(1 - 0.8 * 0.3)
    assert (out.why_not, here.why_not) == (decision.reason, "")


CHANCES = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.34, 0.36, 0.49, 0.5, 1.0])),
        st.integers(1, 400),  # frames that this lasts
        st.floats(0, 1),
        st.floats(0, 1),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(CHANCES)
def test_no_story_of_chances_makes_it_switch_more_often_than_the_waits_permit(story):
    rider = Rider(now_ns=5 * S)
    for p, frames, p_now, p_hedged in story:
        rider.ride(p, frames * FRAME_NS, p_now=p_now, p_hedged=p_hedged)
    switches = sorted(rider.climbs + rider.falls)
    for begin_ns in switches:
        assert sum(begin_ns <= at < begin_ns + SWITCHES_WITHIN_NS for at in switches) <= MOST_SWITCHES
    hold_ns, climbs = 0, iter(pairwise(rider.climbs))
    for fall_ns, (climb_ns, later_ns) in zip(rider.falls, climbs, strict=False):
        quick = fall_ns - climb_ns < CALM_NS
        hold_ns = min(MOST_HOLD_NS, max(FIRST_HOLD_NS, 2 * hold_ns)) if quick else FIRST_HOLD_NS
        assert later_ns - fall_ns >= hold_ns


@pytest.mark.parametrize("name", ["always-duplicate", "p95-hedge"])
@pytest.mark.parametrize("reason", ["no worker is online", "the link is not ready"])
def test_policies_that_compute_twice_compute_here_while_nobody_can_be_reached(name, reason):
    policy = POLICIES[name](SplitConfig(policy=name))
    decision = policy.decide(view(**UNKNOWN[reason]))
    assert (decision.path, decision.reason) == (Path.LOCAL, reason)
    assert not policy.wants_probes()


def test_always_duplicate_leaves_and_stays_at_once_however_bad_the_chance():
    policy = POLICIES["always-duplicate"](SplitConfig(policy="always-duplicate"))
    policy.on_rtt(500 * MS, probe=False)
    policy.on_loss("a reply is missing")
    decision = policy.decide(view(0.0))
    assert (decision.path, decision.worker, decision.duplicate) == (Path.OFFLOAD, "w-1", True)


@pytest.mark.parametrize(
    ("offload", "hedge_in_ns"),
    [
        (Chance(p=0.9, p95_ns=30 * MS), 30 * MS),
        (Chance(p=0.1, p95_ns=1 << 62), BUDGET_NS),
        (Chance(p=0.1, samples=0), 0),
        (None, 0),
    ],
    ids=["known", "most do not come", "no sample", "nothing known"],
)
def test_the_second_try_begins_when_95_of_100_replies_would_have_come(offload, hedge_in_ns):
    policy = POLICIES["p95-hedge"](SplitConfig(policy="p95-hedge"))
    asked = replace(view(now_ns=7 * S), offload=offload)
    decision = policy.decide(asked)
    assert (decision.path, decision.duplicate) == (Path.OFFLOAD, False)
    assert decision.hedge_at_ns == 7 * S + hedge_in_ns
