"""What frames cost twice: whom the budget of duplicates binds, and what was computed in vain."""

from dataclasses import replace

from edge_bench import MS, Bench

from edge_node.decide import Decision, Path
from edge_node.flight import frame_line
from headway.checker import wasted
from schemas.documents import SplitConfig


class Greedy:
    """Sends every frame, and wants a duplicate of it wherever it may."""

    def __init__(self):
        self.seen = []

    def decide(self, view):
        self.seen.append((view.may_duplicate, view.critical))
        duplicate = view.may_duplicate or view.critical
        return Decision(path=Path.OFFLOAD, worker=view.worker, reason="greedy", duplicate=duplicate)

    def on_rtt(self, rtt_ns, *, probe):
        pass

    def on_loss(self, reason):
        pass

    def wants_probes(self):
        return False


def greedy_bench(**split):
    b = Bench(local_ms=8, reply_timeout_ms=200, **split)
    b.journey._dispatch.policy = policy = Greedy()
    return b, policy


def answered_by_the_worker(b, frames):
    for _ in range(frames):
        begun = len(b.starter.jobs)
        frame_id = b.frame()
        b.wait(10)
        b.reply(frame_id)
        if len(b.starter.jobs) > begun:
            b.local_done()
        b.wait(23)


def test_a_policy_is_told_when_the_budget_has_no_duplicate_left():
    b, policy = greedy_bench(duplicates_per_s=1, duplicates_burst=3)
    answered_by_the_worker(b, 60)
    assert [may for may, _ in policy.seen[:4]] == [True, True, True, False]
    assert 4 <= sum(may for may, _ in policy.seen) <= 5, "the burst, and one in each of two seconds"


def test_a_run_at_the_latest_safe_start_is_refused_for_no_want_of_a_token():
    b, policy = greedy_bench(duplicates_per_s=0, duplicates_burst=0)
    b.frame()
    b.wait(95)
    assert policy.seen == [(False, False)]
    assert len(b.starter.jobs) == 1


def test_critical_frames_and_what_must_begin_at_once_anyway_cost_no_token():
    b, policy = greedy_bench(duplicates_per_s=0, duplicates_burst=1, criticality={"hands": "critical"})
    answered_by_the_worker(b, 5)
    assert policy.seen == [(True, True)] * 5
    assert b.lines[-1].critical
    b, policy = greedy_bench(duplicates_per_s=0, duplicates_burst=1, deadline_ms=10)
    answered_by_the_worker(b, 5)
    assert policy.seen == [(True, False)] * 5


class Early(Greedy):
    """Sends every frame, and wants its own run begun after 20 ms."""

    def decide(self, view):
        at_ns = view.now_ns + 20 * MS
        return Decision(path=Path.OFFLOAD, worker=view.worker, reason="early", hedge_at_ns=at_ns)


def begun_after_ms(b, frames):
    """When the own runs of so many frames that nobody answers begin."""
    begun = []
    for _ in range(frames):
        b.frame()
        jobs, at_ns = len(b.starter.jobs), b.now_ns
        while len(b.starter.jobs) == jobs:
            b.wait(1)
        begun.append((b.now_ns - at_ns) // MS)
        b.wait(8)
        b.local_done()
        b.wait(100)
    return begun


def test_a_run_that_begins_before_it_must_costs_a_token_and_without_one_it_begins_when_it_must():
    b = Bench(local_ms=8, reply_timeout_ms=5000, duplicates_per_s=0, duplicates_burst=2)
    b.journey._dispatch.policy = Early()
    early, again, *later = begun_after_ms(b, 4)
    assert (early, again) == (20, 20)
    assert all(after_ms > 30 for after_ms in later)
    b = Bench(local_ms=8, reply_timeout_ms=5000, duplicates_burst=0, criticality={"hands": "critical"})
    b.journey._dispatch.policy = Early()
    assert begun_after_ms(b, 3) == [20] * 3


def test_a_new_config_fills_no_budget_but_counts_by_its_own_numbers():
    b, policy = greedy_bench(duplicates_per_s=0, duplicates_burst=2)
    answered_by_the_worker(b, 3)
    b.journey.use(SplitConfig(duplicates_per_s=0, duplicates_burst=5))
    b.journey._dispatch.policy = policy
    answered_by_the_worker(b, 1)
    assert [may for may, _ in policy.seen] == [True, True, False, False]


def test_a_result_that_answers_nothing_was_computed_in_vain_and_the_checker_counts_the_same():
    b = Bench(policy="always-duplicate", local_ms=20)
    b.frame()
    b.wait(10)
    b.reply(0)
    b.wait(10)
    b.local_done()
    b.frame()
    b.wait(20)
    b.local_done()
    b.wait(30)
    b.reply(1)
    b.frame()
    b.wait(20)
    b.local_done(error="broken")
    b.wait(20)
    b.reply(2)
    b.frame()
    b.wait(96)
    b.local_done()
    b.reply(3)
    lines = [frame_line(flight, headset="hs-1") for flight in b.lines]
    assert [line.get("wasted_runs", 0) for line in lines] == [1, 1, 0, 2]
    assert [wasted(line) for line in lines] == [1, 1, 0, 2]
    assert b.journey.answers.ledger.totals.wasted_runs == 4
    assert replace(b.lines[3].answer).path is Path.CARRIED
