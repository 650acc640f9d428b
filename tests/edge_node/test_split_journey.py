"""A frame in parts, told the time: head here, middle there, tail here, and help in time whatever fails."""

from dataclasses import replace

import pytest
from edge_bench import (
    BACK,
    CUT_ENGINE,
    ENGINE,
    KERNEL,
    LIVE,
    MODEL,
    MS,
    PLACEMENT,
    Bench,
    hands_at,
    looked_at,
    worker_presence,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.decide import Path
from edge_node.device_class import Portion, Segment
from edge_node.dispatch import KEPT_HERE_FRAMES
from edge_node.flight import frame_line
from edge_node.jobs import JobDone, JobKind
from edge_node.outcome import Outcome
from edge_node.perceive import portions
from edge_node.run_times import FEW, WARM_UP
from inference.split.part_payload import NOTHING

PROVED = {"kernels": {MODEL: KERNEL}, "placements": {MODEL: (PLACEMENT.id,)}}


def bench(*, engine=CUT_ENGINE, presence=PROVED, **fields):
    place = {"head_end": PLACEMENT.start, "tail_start": PLACEMENT.end}
    b = Bench(policy="split", engine=engine, placement=place, **fields)
    b.remote.workers.on_presence(worker_presence(**presence))
    return b


def jobs(b):
    return [(job.kind, job.frame_id) for job in b.starter.jobs]


def split_once(b):
    """One frame all the way; its id."""
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(6)
    b.part_reply(frame)
    b.wait(1)
    b.local_done()
    return frame


def test_a_frame_in_parts_is_a_fresh_answer_of_its_own_path():
    b = bench()
    frame = b.frame()
    assert jobs(b) == [(JobKind.HEAD, frame)]
    b.wait(4)
    b.local_done()
    (out,) = b.uplink.parts
    assert (out.frame_id, out.live, out.ask) == (frame, LIVE, False)
    assert (out.wanted.model, out.wanted.kernel, out.wanted.placement_id) == (MODEL, KERNEL, PLACEMENT.id)
    assert b.uplink.frames == []
    b.wait(6)
    b.part_reply(frame)
    assert jobs(b)[1:] == [(JobKind.TAIL, frame)]
    assert b.starter.jobs[1].returned is BACK
    assert b.starter.jobs[1].looked.live is LIVE
    b.wait(1)
    b.local_done()
    answer = b.answers[frame]
    assert (answer.path, answer.outcome, answer.latency_ns) == (Path.SPLIT, Outcome.FRESH_ON_TIME, 11 * MS)
    assert b.journey.reason == "policy split at 20:59"
    line = frame_line(b.lines[0], headset="hs-1")
    assert (line["path"], line["mode"]) == ("split", "split")
    assert [(row["path"], row["result"]) for row in line["attempts"]] == [("split", "ok")]


def test_a_tail_goes_before_a_newer_frames_head():
    b = bench()
    first = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(29)
    b.frame()  # its head holds the slot
    b.part_reply(first)
    third = b.frame()
    b.wait(4)
    b.local_done()
    assert jobs(b)[-1] == (JobKind.TAIL, first)
    b.wait(1)
    b.local_done()
    assert jobs(b)[-1] == (JobKind.HEAD, third)


def test_a_missing_reply_starts_the_whole_run_at_once_and_the_next_frame_stays_here():
    b = bench(reply_timeout_ms=20)
    split_once(b)
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(21)
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    b.wait(10)
    b.local_done()
    assert b.journey.answers.ledger.totals.paths[Path.LOCAL] == 1
    after = b.frame()
    assert jobs(b)[-1] == (JobKind.WHOLE, after)
    assert b.journey.reason == "every worker for it failed a moment ago"
    b.wait(10)
    b.local_done()
    b.wait(2000)
    assert b.frame() == jobs(b)[-1][1]
    assert jobs(b)[-1][0] is JobKind.HEAD


def test_a_refusal_starts_the_whole_run_at_once():
    b = bench()
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(2)
    b.part_reply(frame, refusal="busy")
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    assert b.remote.refusals == {"busy": 1}


@pytest.mark.parametrize("when", ["head", "tail"])
def test_a_part_that_fails_here_starts_the_whole_run_at_once(when):
    b = bench()
    frame = b.frame()
    b.wait(4)
    if when == "tail":
        b.local_done()
        b.part_reply(frame)
    b.local_done(error="broken")
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    b.wait(10)
    b.local_done()
    assert b.outcomes() == ["fresh_on_time"]
    assert b.answers[frame].path is Path.LOCAL


def test_the_hedge_leaves_room_for_a_tail_and_a_reply_during_it_is_not_needed():
    b = bench(local_ms=30)
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(44)  # 100 - 37.5 for the whole run at worst - 10 of margin - 3.75 for a tail = 48.75
    assert jobs(b)[-1][0] is JobKind.HEAD
    b.wait(2)
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    b.part_reply(frame)
    b.wait(25)
    b.local_done()
    b.wait(1)
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    assert [line.answer.path for line in b.lines] == [Path.LOCAL]
    results = [(attempt.path, attempt.result) for attempt in b.lines[0].attempts]
    assert results == [(Path.SPLIT, "not needed"), (Path.LOCAL, "ok")]
    assert jobs(b)[1:] == [(JobKind.WHOLE, frame)]


def test_a_tail_that_comes_after_the_answer_only_teaches_the_tracker():
    b = bench(reply_timeout_ms=500)
    split_once(b)
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.wait(80)
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    b.local_done(error="broken")
    b.wait(20)
    assert b.journey.answers.ledger.totals.outcomes[Outcome.CARRIED_ON_TIME] == 1
    b.part_reply(frame)
    assert jobs(b)[-1] == (JobKind.TAIL, frame)
    b.local_done()
    last = b.frame(captured=False, skipped=True)
    assert b.answers[last].result_frame_id == frame
    assert b.answers[frame].outcome is Outcome.CARRIED_ON_TIME


def test_a_frame_without_hands_is_answered_here_and_nothing_is_sent():
    b = bench()
    frame = b.frame()
    b.wait(4)
    b.local_done(looked=looked_at(NOTHING))
    assert b.uplink.parts == []
    assert (b.answers[frame].path, b.answers[frame].outcome) == (Path.LOCAL, Outcome.FRESH_ON_TIME)


def test_a_head_that_is_done_when_its_frame_is_helped_already_is_not_sent():
    b = bench(local_ms=30)
    frame = b.frame()
    b.wait(60)  # the hedge waits behind the slow head
    b.local_done()
    assert b.uplink.parts == []
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)


def test_tensors_that_cannot_be_sent_start_the_whole_run_at_once():
    b = bench()
    b.uplink.is_open = False
    frame = b.frame()
    b.wait(4)
    b.local_done()
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)


def test_a_tail_goes_on_with_the_engine_of_its_head_whatever_was_installed_meanwhile():
    b = bench()
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.journey.local.use(ENGINE, now_ns=b.now_ns)
    b.part_reply(frame)
    assert b.starter.jobs[-1].engine is CUT_ENGINE
    b.local_done()
    assert b.answers[frame].path is Path.SPLIT
    b.frame()
    assert b.starter.jobs[-1].engine is ENGINE
    assert "not cut at this placement" in b.journey.reason


def test_a_head_that_waits_while_another_engine_is_installed_becomes_a_whole_run_of_that():
    """Run as a head it would fail there, and the failure would count against the new engine."""
    b = bench()
    b.frame()  # its head holds the slot
    b.wait(3)
    waits = b.frame()
    b.journey.local.use(ENGINE, now_ns=b.now_ns)
    b.local_done()
    assert jobs(b)[-1] == (JobKind.WHOLE, waits)
    assert b.starter.jobs[-1].engine is ENGINE
    b.wait(10)
    b.local_done()
    assert (b.perception.runs.well, b.perception.runs.failed) == (1, 0)
    assert [(row.path, row.result) for row in b.lines[-1].attempts] == [
        (Path.SPLIT, "another engine"),
        (Path.LOCAL, "ok"),
    ]


def test_one_slow_part_does_not_keep_frames_here_for_ever():
    b = bench()
    split_once(b)
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.part_reply(frame)
    b.wait(95)
    b.local_done(started_ns=b.now_ns - 95 * MS)  # a stall in a tail: it looks as if nothing were in time
    kept = 0
    while jobs(b)[-1][0] is not JobKind.HEAD:
        b.frame()
        kept += jobs(b)[-1][0] is JobKind.WHOLE
        b.wait(30)
        if jobs(b)[-1][0] is JobKind.WHOLE:
            b.local_done()
        assert kept <= KEPT_HERE_FRAMES
        b.wait(3)
    assert kept == KEPT_HERE_FRAMES


def test_another_engines_parts_are_measured_anew():
    b = bench()
    split_once(b)
    assert b.perception.times.usual_ns(JobKind.HEAD, 0.5, share=0.5, cut=PLACEMENT.id) == 10 * MS
    b.journey.local.use(replace(CUT_ENGINE, label="new"), now_ns=b.now_ns)
    assert (
        b.perception.times.usual_ns(JobKind.HEAD, 0.5, share=0.5, cut=PLACEMENT.id) == 5 * MS
    )  # half of the whole's


def test_tensors_that_the_part_does_not_return_start_the_whole_run_and_rest_the_worker():
    b = bench()
    frame = b.frame()
    b.wait(4)
    b.local_done()
    b.part_reply(frame, part=replace(LIVE, payload=bytes(12)))
    assert jobs(b)[-1] == (JobKind.WHOLE, frame)
    b.wait(10)
    b.local_done()
    assert b.lines[0].attempts[0].result == "wrong tensors"
    assert b.perception.runs.failed == 0
    assert b.frame() == jobs(b)[-1][1]
    assert jobs(b)[-1][0] is JobKind.WHOLE
    assert b.journey.reason == "every worker for it failed a moment ago"


def test_an_unproved_placement_is_asked_for_by_one_request_at_a_time_while_frames_stay_here():
    b = bench(presence={"kernels": {MODEL: KERNEL}})
    for _ in range(10):
        frame = b.frame()
        b.wait(10)
        b.local_done()
        assert b.answers[frame].path is Path.LOCAL
        b.wait(23)
    assert b.journey.reason == "w-1 has not proved this placement yet"
    assert [out.ask for out in b.uplink.parts] == [True]
    detail = "ask again in 1.0 s: 12 proofs of this model were begun in the last minute"
    b.part_reply(0, refusal="unknown_placement", ask=True, retry_after_ms=1000, detail=detail)
    assert not b.remote.refusals
    for _ in range(40):
        b.frame()
        b.wait(10)
        b.local_done()
        b.wait(23)
    assert len(b.uplink.parts) == 2
    assert b.journey.reason == f"w-1 has not proved this placement yet: {detail}"
    b.remote.workers.on_presence(worker_presence(**PROVED))
    split_once(b)
    assert b.lines[-1].answer.path is Path.SPLIT


def test_an_ask_that_is_answered_with_nothing_changes_nothing_until_the_presence_tells():
    b = bench(presence={"kernels": {MODEL: KERNEL}})
    b.frame()
    b.wait(10)
    b.local_done()
    b.part_reply(0, ask=True, part=NOTHING)
    b.wait(23)
    assert not b.remote.refusals
    assert [line.answer.path for line in b.lines] == [Path.LOCAL]
    b.remote.workers.on_presence(worker_presence(**PROVED))
    split_once(b)
    assert b.lines[-1].answer.path is Path.SPLIT


def test_a_placement_that_a_worker_declines_is_not_asked_for_again_while_it_lives():
    b = bench(presence={"kernels": {MODEL: KERNEL}})
    b.frame()
    b.part_reply(0, refusal="unknown_placement", ask=True, detail="64 is no legal cut")
    b.wait(10)
    b.local_done()
    for _ in range(100):
        b.frame()
        b.wait(10)
        b.local_done()
        b.wait(23)
    assert len(b.uplink.parts) == 1
    assert b.journey.reason == "w-1 does not offer this placement: 64 is no legal cut"
    b.remote.workers.on_presence(worker_presence(kernels={MODEL: KERNEL}, boot_id="1" * 32))
    b.frame()
    assert len(b.uplink.parts) == 2


@pytest.mark.parametrize(
    ("presence", "reason"),
    [
        ({"online": False}, "no worker is online"),
        ({}, "no worker can cut this model"),
        (
            {"kernels": {MODEL: "f" * 64}, "placements": {MODEL: (PLACEMENT.id,)}},
            "kernel fingerprints differ",
        ),
    ],
)
def test_without_a_worker_on_the_same_kernels_frames_stay_here_and_nobody_is_asked(presence, reason):
    b = bench(presence=presence)
    frame = b.frame()
    assert jobs(b) == [(JobKind.WHOLE, frame)]
    assert b.uplink.parts == []
    assert reason in b.journey.reason


def test_a_blocked_link_keeps_frames_here():
    b = bench()
    b.remote.ready = False
    frame = b.frame()
    assert jobs(b) == [(JobKind.WHOLE, frame)]
    assert b.journey.reason == "the link is not ready"


def test_a_deadline_that_leaves_no_time_for_a_head_keeps_frames_here_and_says_so():
    b = bench(
        local_ms=80
    )  # 100 - 80 - 10 of margin - 8 for a tail: a whole run must begin at 2, a head takes 40
    frame = b.frame()
    assert jobs(b) == [(JobKind.WHOLE, frame)]
    assert "allow frames a longer deadline" in b.journey.reason
    b.local_ms = 20  # faster than thought
    for _ in range(FEW + WARM_UP):
        b.wait(20)
        b.local_done()
        assert b.frame() == jobs(b)[-1][1]
    assert jobs(b)[-1][0] is JobKind.HEAD


def test_parts_cost_a_simulated_device_their_share_of_the_landmark_row():
    b = bench()
    frame = b.frame()
    b.local_done()
    b.part_reply(frame)
    head, tail = b.starter.jobs
    done = {"started_ns": 0, "ended_ns": 1, "error": ""}
    landmark = Segment.LANDMARK_FLOAT
    assert portions(JobDone(job=head, result=None, looked=looked_at(), **done)) == [
        Portion(Segment.PALM),
        Portion(landmark, 0.5),
    ]
    searched = replace(hands_at(0.5), palm_ran=True)
    assert portions(JobDone(job=tail, result=searched, **done)) == [Portion(landmark, 0.1)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 60)),
        st.tuples(
            st.just("frame"), st.sampled_from(["captured", "captured", "captured", "missed", "skipped"])
        ),
        st.tuples(st.just("local"), st.booleans()),
        st.tuples(st.just("reply"), st.sampled_from(["", "", "busy", "unknown_placement"])),
        st.tuples(st.just("link"), st.booleans()),
        st.tuples(st.just("proved"), st.booleans()),
    ),
    max_size=60,
)


def _local(b, *, works):
    if (
        b.perception.busy
        and b.starter.jobs
        and b.perception.held_frame is None
        and b.perception.due_ns is None
    ):
        b.local_done(error="" if works else "broken")


def _reply(b, refusal):
    if b.uplink.parts:
        b.part_reply(b.uplink.parts[-1].frame_id, refusal=refusal, ask=b.uplink.parts[-1].ask)


def _link(b, *, ready):
    b.remote.ready = ready
    if not ready:
        b.journey.on_link_trouble("the link is suspect", now_ns=b.now_ns)


ACTS = {
    "wait": lambda b, how: b.wait(how),
    "frame": lambda b, how: b.frame(captured=how == "captured", skipped=how == "skipped"),
    "local": lambda b, how: _local(b, works=how),
    "reply": _reply,
    "link": lambda b, how: _link(b, ready=how),
    "proved": lambda b, how: b.remote.workers.on_presence(
        worker_presence(**(PROVED if how else {"kernels": {MODEL: KERNEL}}))
    ),
}


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from(["host", "xr-fast"]))
def test_every_frame_gets_exactly_one_answer_whatever_happens_to_its_parts(steps, device_class):
    b = bench(reply_timeout_ms=40, device_class=device_class)
    for what, how in steps:
        ACTS[what](b, how)
    b.wait(2200)
    totals = b.journey.answers.ledger.totals
    assert sorted(line.frame_id for line in b.lines) == list(range(b.next_id))
    assert totals.scheduled == sum(totals.outcomes.values()) == b.next_id
    for line in b.lines:
        assert (
            line.answer.outcome is not Outcome.FRESH_ON_TIME or line.answer.result_frame_id == line.frame_id
        )
