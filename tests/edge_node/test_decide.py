"""Policies, estimates and hedging: pure rules, told what happened."""

import random
from dataclasses import replace

import pytest
from edge_bench import worker_presence
from hypothesis import given
from hypothesis import strategies as st

from edge_node.decide import POLICIES, LinkView, PairView, PartView, Path
from edge_node.hedge import HedgeMargins, carry_at_ns, is_worth_starting, latest_local_start_ns
from edge_node.workers import MAX_DECLINED, MOST_REST_NS, REST_NS, PartWanted, WorkerBook
from schemas.documents import Load, SplitConfig
from schemas.placements import Placement

MS = 1_000_000
READY = LinkView(worker="w-1", ready=True)
BLOCKED = {"no worker is online": LinkView(worker=None, ready=True)}
BLOCKED["the link is not ready"] = LinkView(worker="w-1", ready=False)


def threshold(**fields):
    return POLICIES["rtt-threshold"](SplitConfig(policy="rtt-threshold", **fields))


def climb(policy, count=5, rtt_ms=5):
    for _ in range(count):
        policy.on_rtt(rtt_ms * MS, probe=True)
    return policy


def test_every_policy_of_the_vocabulary_is_a_row():
    assert set(POLICIES) == set(SplitConfig.model_fields["policy"].annotation.__args__)


def test_local_never_leaves_and_never_probes():
    policy = POLICIES["local"](SplitConfig(policy="local"))
    climb(policy, 20)
    policy.on_loss("nothing")
    assert policy.decide(READY).path is Path.LOCAL
    assert not policy.wants_probes()


def test_offload_leaves_whenever_somebody_can_be_reached():
    policy = POLICIES["offload"](SplitConfig(policy="offload"))
    policy.on_rtt(500 * MS, probe=False)
    policy.on_loss("a reply is missing")
    decision = policy.decide(READY)
    assert (decision.path, decision.worker) == (Path.OFFLOAD, "w-1")
    assert not policy.wants_probes()


@pytest.mark.parametrize("reason", sorted(BLOCKED))
@pytest.mark.parametrize("name", ["offload", "rtt-threshold"])
def test_a_blocked_way_keeps_frames_here_and_says_why(name, reason):
    policy = climb(POLICIES[name](SplitConfig(policy=name)))
    decision = policy.decide(BLOCKED[reason])
    assert decision.path is Path.LOCAL
    assert reason in decision.reason


def test_the_threshold_policy_begins_here_and_goes_up_after_five_good_probes():
    policy = threshold()
    assert policy.decide(READY).path is Path.LOCAL
    climb(policy, 4)
    assert policy.decide(READY).path is Path.LOCAL
    assert policy.wants_probes()
    climb(policy, 1)
    assert policy.decide(READY).path is Path.OFFLOAD
    assert not policy.wants_probes()


@pytest.mark.parametrize(("rtt_ms", "good"), [(11.9, True), (12.0, False), (14.9, False), (15.1, False)])
def test_a_probe_is_good_below_eight_tenths_of_the_threshold(rtt_ms, good):
    policy = climb(threshold(), 4)
    policy.on_rtt(round(rtt_ms * MS), probe=True)
    assert (policy.decide(READY).path is Path.OFFLOAD) is good


def test_one_bad_probe_starts_the_count_again():
    policy = climb(threshold(), 4)
    policy.on_rtt(13 * MS, probe=True)
    climb(policy, 4)
    assert policy.decide(READY).path is Path.LOCAL
    climb(policy, 1)
    assert policy.decide(READY).path is Path.OFFLOAD


@pytest.mark.parametrize(
    "fall",
    [
        lambda policy: policy.on_rtt(15 * MS + 1, probe=False),
        lambda policy: policy.on_loss("a reply is missing"),
        lambda policy: policy.decide(BLOCKED["the link is not ready"]),
    ],
)
def test_it_falls_at_once_and_must_climb_again(fall):
    policy = climb(threshold())
    policy.on_rtt(15 * MS, probe=False)
    assert policy.decide(READY).path is Path.OFFLOAD
    fall(policy)
    assert policy.decide(READY).path is Path.LOCAL
    policy.on_rtt(1 * MS, probe=False)
    climb(policy, 4)
    assert policy.decide(READY).path is Path.LOCAL


@given(st.lists(st.one_of(st.integers(0, 40), st.none()), max_size=60))
def test_up_always_means_that_the_last_probes_were_good_and_nothing_bad_followed(story):
    policy = threshold()
    for rtt_ms in story:
        if rtt_ms is None:
            policy.on_loss("missing")
        else:
            policy.on_rtt(rtt_ms * MS, probe=policy.wants_probes())
        if policy.decide(READY).path is Path.OFFLOAD:
            assert rtt_ms is not None
            assert rtt_ms <= 15


def test_the_last_safe_start_leaves_room_for_the_slowest_run():
    margins = HedgeMargins(start_ns=10, carry_ns=5, most_carry_ns=20)
    starts = [
        latest_local_start_ns(
            deadline_ns=100, budget_ns=budget, local_p999_ns=30, lateness_ns=late, margins=margins
        )
        for budget, late in ((200, 0), (60, 0), (60, 8), (60, 90))
    ]
    assert starts == [60, 64, 62, 60]
    carries = [
        carry_at_ns(deadline_ns=100, budget_ns=budget, lateness_ns=late, margins=margins)
        for budget, late in ((200, 0), (30, 0), (200, 8), (200, 90), (30, 90))
    ]
    assert carries == [95, 97, 92, 80, 85]  # never earlier than after half of a frame's time
    assert is_worth_starting(now_ns=70, deadline_ns=100, local_p50_ns=30)
    assert not is_worth_starting(now_ns=71, deadline_ns=100, local_p50_ns=30)


def book(*workers):
    known = WorkerBook(task="hands", rng=random.Random(3))
    for worker in workers:
        known.on_presence(worker_presence(worker))
    return known


def load(worker, queued):
    return Load(
        worker=worker,
        boot_id="0" * 32,
        queued=queued,
        running=0,
        run_p50_us=1,
        run_p99_us=1,
        answered=0,
        refused=0,
        sent_ms=0,
    )


def test_of_two_workers_the_less_busy_one_is_chosen_and_kept():
    known = book("w-1", "w-2")
    assert known.on_load(load("w-1", 9)) == 9_000, "nine runs of a microsecond, one after the other"
    assert known.on_load(load("stranger", 9)) is None
    assert known.choose("auto", now_ns=0) == "w-2"
    known.on_load(load("w-2", 50))
    assert known.choose("auto", now_ns=1) == "w-2"


def test_a_worker_that_names_a_time_rests_until_then_and_not_longer():
    known = book("w-1", "w-2")
    first = known.choose("auto", now_ns=0)
    known.rest(first, now_ns=0, for_ns=100)
    other = known.choose("auto", now_ns=1)
    assert other != first
    known.rest(other, now_ns=2, for_ns=1000)
    assert known.choose("auto", now_ns=99) is not None, "somebody must be probed"
    assert known.choose("auto", now_ns=101) == first
    known.rest(first, now_ns=101, for_ns=1 << 80)
    assert known.choose("auto", now_ns=1100) == other
    known.rest(other, now_ns=1100, for_ns=1 << 80)
    assert known.choose("auto", now_ns=102 + MOST_REST_NS) == first, "nobody is left alone for ever"


def test_a_worker_that_failed_rests_while_others_are_there():
    known = book("w-1", "w-2")
    first = known.choose("auto", now_ns=0)
    known.rest(first, now_ns=0)
    other = known.choose("auto", now_ns=1)
    assert {first, other} == {"w-1", "w-2"}
    known.rest(other, now_ns=1)
    assert known.choose("auto", now_ns=2) in {"w-1", "w-2"}, "somebody must be probed"
    assert known.choose("auto", now_ns=REST_NS + 2) is not None


def test_presence_decides_who_is_there_and_old_wills_do_not():
    known = book("w-1")
    known.on_presence(worker_presence("w-1", session=2))
    known.on_presence(worker_presence("w-1", session=1, online=False))
    assert known.choose("auto", now_ns=0) == "w-1"
    known.on_presence(worker_presence("w-1", session=2, online=False))
    assert known.choose("auto", now_ns=0) is None
    known.on_presence(worker_presence("w-1", session=3))
    assert known.choose("w-1", now_ns=0) == "w-1"
    assert known.choose("w-9", now_ns=0) is None


def test_the_pool_is_asked_where_somebody_serves_it_and_one_of_them_is_probed_for_it():
    known = book()
    assert known.choose("any", now_ns=0) is None
    assert known.choose_for_probe("any", now_ns=0) is None
    known.on_presence(worker_presence("w-1"))
    assert known.choose("any", now_ns=0) == "any"
    assert known.choose_for_probe("any", now_ns=0) == "w-1"
    assert known.choose_for_probe("w-1", now_ns=0) == "w-1"
    known.on_presence(worker_presence("w-1", online=False))
    assert known.choose("any", now_ns=0) is None


def test_a_worker_says_with_which_model_it_answers():
    known = WorkerBook(task="hands", rng=random.Random(3))
    known.on_presence(worker_presence("w-1", models={"hands": "a" * 64}))
    assert known.model("w-1") == "a" * 64
    assert known.model(None) == ""


def pair(reason=""):
    return PairView(placement=Placement(start=20, end=59), part=PartView(worker="w-2", reason=reason))


def part_view(*pairs):
    return LinkView(worker="w-1", ready=True, pairs=pairs)


def test_split_leaves_with_the_worker_of_the_part_and_says_where_it_cuts():
    place = {"head_end": 20, "tail_start": 59}
    policy = POLICIES["split"](SplitConfig(policy="split", placement=place))
    policy.on_loss("a reply is missing")
    policy.on_rtt(500 * MS, probe=False)
    other = replace(pair(), placement=Placement(start=4, end=63))
    decision = policy.decide(part_view(pair(), other))
    assert (decision.path, decision.worker, decision.unproved) == (Path.SPLIT, "w-2", ())
    assert decision.placement == Placement(start=20, end=59)
    assert decision.reason == "policy split at 20:59"
    assert not policy.wants_probes()
    unproved = pair("not proved yet")
    asked = policy.decide(part_view(unproved, other))
    assert (asked.path, asked.worker, asked.reason) == (Path.LOCAL, None, "not proved yet")
    assert asked.unproved == (unproved,)
    assert "not cut" in policy.decide(part_view()).reason
    blocked = LinkView(worker="w-1", ready=False, pairs=(pair(),))
    assert policy.decide(blocked).reason == "the link is not ready"


def test_a_part_goes_to_a_worker_that_proved_it_and_to_the_one_wanted_where_one_is_named():
    part = PartWanted(model="a" * 64, kernel="e" * 64, placement_id=7)
    known = WorkerBook(task="hands", rng=random.Random(3))
    same = {"a" * 64: "e" * 64}
    known.on_presence(worker_presence("w-1", kernels=same))
    known.on_presence(worker_presence("w-2", kernels=same, placements={"a" * 64: (7,)}))
    known.on_presence(worker_presence("w-3", kernels={"a" * 64: "f" * 64}, placements={"a" * 64: (7,)}))
    for wanted in ("auto", "any", "w-2"):
        assert known.choose_part(wanted, part, now_ns=0) == PartView(worker="w-2", reason="")
    assert known.choose_part("w-1", part, now_ns=0).worker == "w-1"
    assert "has not proved" in known.choose_part("w-1", part, now_ns=0).reason
    assert "fingerprints differ" in known.choose_part("w-3", part, now_ns=0).reason
    known.rest("w-2", now_ns=0)
    assert known.choose_part("w-2", part, now_ns=1).reason == "every worker for it failed a moment ago"
    assert known.choose_part("auto", part, now_ns=1).worker == "w-1"
    assert known.choose_part("w-2", part, now_ns=REST_NS).reason == ""
    known.decline("w-9", part, "nobody knows this worker")


def test_declined_parts_are_remembered_up_to_a_bound_and_the_oldest_may_be_asked_for_again():
    known = book()
    model, kernel = "a" * 64, "e" * 64
    known.on_presence(worker_presence("w-1", kernels={model: kernel}))
    parts = [
        PartWanted(model=model, kernel=kernel, placement_id=number + 1) for number in range(MAX_DECLINED + 1)
    ]
    for part in parts:
        known.decline("w-1", part, "no")
    assert known.choose_part("auto", parts[0], now_ns=0).worker == "w-1"
    assert known.choose_part("auto", parts[1], now_ns=0).worker is None
