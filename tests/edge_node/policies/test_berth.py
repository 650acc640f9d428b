"""Which of several workers pictures go to: the one before, until another was better for a while."""

from dataclasses import replace

import pytest
from policy_views import FRAME_NS, MS, Race, S, rung, view

from edge_node.decide import POLICIES, Path
from edge_node.policies.berth import CALM_NS, FIRST_HOLD_NS
from edge_node.policies.scoring import LEAST_SAMPLES
from schemas.documents import SplitConfig


class Rider:
    """The policy asked once a frame about workers with these chances."""

    def __init__(self):
        self.policy = POLICIES["deadline"](SplitConfig(policy="deadline", on_time_floor=0.5))
        self.now_ns = 0

    def ask(self, *, first="w-1", hedged=0.0, samples=None, **chances):
        names = sorted((name.replace("_", "-") for name in chances), key=lambda name: (name != first, name))
        rungs = tuple(
            replace(
                rung(chances[name.replace("-", "_")], samples=(samples or {}).get(name, 50)),
                worker=name,
            )
            for name in names
        )
        told = view(now_ns=self.now_ns, offloads=rungs, worker=names[0], p_now=hedged, p_hedged=hedged)
        self.now_ns += FRAME_NS
        return self.policy.decide(told)

    def ride(self, duration_ns, **how):
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            decision = self.ask(**how)
        return decision


def test_pictures_stay_with_a_worker_while_another_is_only_as_good():
    rider = Rider()
    assert rider.ride(2 * S, w_1=0.9, w_2=0.9).worker == "w-1"
    decision = rider.ride(20 * S, w_1=0.9, w_2=0.904)
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-1")
    assert {row.worker: row.why_not for row in decision.considered if row.worker == "w-2"} == {
        "w-2": "pictures go to w-1"
    }


def test_a_surer_worker_takes_over_after_a_while_and_the_way_does_not_change():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.9)
    assert rider.ride(FIRST_HOLD_NS, w_1=0.9, w_2=0.99).worker == "w-1"
    decision = rider.ride(2 * FRAME_NS, w_1=0.9, w_2=0.99)
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-2")


def test_a_moment_in_which_another_is_better_moves_nothing():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.9)
    for _ in range(20):
        assert rider.ride(FIRST_HOLD_NS - 2 * FRAME_NS, w_1=0.9, w_2=0.99).worker == "w-1"
        rider.ask(w_1=0.99, w_2=0.99)


def test_frames_go_to_another_at_once_where_theirs_promises_too_little_and_no_frame_is_kept_here():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.8)
    decision = rider.ask(w_1=0.1, w_2=0.8)
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-2")


def test_a_worker_that_is_gone_is_left_at_once():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.8)
    decision = rider.ask(first="w-2", w_2=0.8, w_3=0.9)
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-3")


def test_one_of_whom_little_is_known_is_no_better_yet():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.9)
    few = {"w-2": LEAST_SAMPLES - 1}
    assert rider.ride(10 * S, w_1=0.6, w_2=1.0, samples=few).worker == "w-1"


def test_where_nobody_promises_enough_frames_stay_here():
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.9)
    assert rider.ride(S, w_1=0.1, w_2=0.2, hedged=0.95).path is Path.LOCAL


def test_as_sure_and_sooner_is_better_where_a_late_answer_begins_a_run_here():
    rider = Rider()
    soon, late = Race(p=1.0, predicted_ns=10 * MS), Race(p=1.0, predicted_ns=90 * MS)

    def ask():
        rungs = tuple(
            replace(rung(), worker=worker, forecast=forecast)
            for worker, forecast in (("w-1", late), ("w-2", soon))
        )
        told = view(now_ns=rider.now_ns, offloads=rungs, p_now=0.9, p_hedged=0.9, hedge_in_ns=60 * MS)
        rider.now_ns += FRAME_NS
        return rider.policy.decide(told)

    rider.ride(2 * S, w_1=1.0, w_2=0.3)
    assert ask().worker == "w-1"
    while rider.now_ns < 2 * S + FIRST_HOLD_NS + 3 * FRAME_NS:
        decision = ask()
    assert decision.worker == "w-2"


@pytest.mark.parametrize("calm", [False, True])
def test_coming_back_soon_is_waited_for_longer(calm):
    rider = Rider()
    rider.ride(2 * S, w_1=0.9, w_2=0.9)
    rider.ride(FIRST_HOLD_NS + 2 * FRAME_NS, w_1=0.9, w_2=0.99)
    if calm:
        rider.ride(CALM_NS, w_1=0.9, w_2=0.99)
    back = "w-1" if calm else "w-2"
    assert rider.ride(FIRST_HOLD_NS + 2 * FRAME_NS, w_1=0.99, w_2=0.9).worker == back
    assert rider.ride(FIRST_HOLD_NS + 2 * FRAME_NS, w_1=0.99, w_2=0.9).worker == "w-1"
