"""A frame's journey, told the time: exactly one answer, whatever happens and in whatever order."""

from dataclasses import replace

import pytest
from edge_bench import ENGINE, MS, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.decide import POLICIES, Path
from edge_node.flight import frame_line
from edge_node.outcome import Ledger, Outcome
from schemas.documents import SplitConfig
from schemas.messages import Task


def test_a_local_run_in_time_is_a_fresh_answer():
    b = Bench()
    b.frame()
    b.wait(12)
    b.local_done()
    assert b.outcomes() == ["fresh_on_time"]
    answer = b.answers[0]
    assert (answer.path, answer.latency_ns, answer.age_ns) == (Path.LOCAL, 12 * MS, 12 * MS)


def test_nothing_to_carry_at_first_so_the_first_answer_may_be_late():
    b = Bench()
    b.frame()
    b.wait(130)
    assert b.lines == []
    b.local_done()
    assert b.outcomes() == ["late"]


def test_a_frame_that_nothing_ever_answers_ends_as_none():
    b = Bench()
    b.frame()
    b.wait(1100)
    assert b.outcomes() == ["none"]
    assert b.answers[0].result_frame_id is None


def test_a_run_that_takes_too_long_is_answered_from_memory_before_the_deadline():
    b = Bench()
    b.frame()
    b.wait(10)
    b.local_done()
    b.wait(23)
    b.frame()
    b.wait(200)
    assert b.journey.answers.ledger.totals.outcomes[Outcome.CARRIED_ON_TIME] == 1
    b.local_done()
    answer = b.answers[1]
    assert answer.path is Path.CARRIED
    assert answer.latency_ns == 90 * MS
    assert answer.age_ns == answer.latency_ns + 33 * MS
    assert answer.result_frame_id == 0


def test_a_result_that_came_too_late_still_teaches_the_tracker():
    b = Bench()
    b.frame()
    b.wait(10)
    b.local_done()
    b.wait(23)
    b.frame()
    b.wait(120)
    b.local_done()
    b.frame(captured=False, skipped=True)
    assert b.answers[2].result_frame_id == 1


def test_a_skipped_or_missing_frame_is_answered_from_memory_at_once():
    b = Bench()
    b.frame()
    b.wait(10)
    b.local_done()
    b.frame(captured=False, skipped=True)
    b.frame(captured=False)
    assert b.outcomes() == ["fresh_on_time", "carried_on_time", "carried_on_time"]
    totals = b.journey.answers.ledger.totals
    assert (totals.scheduled, totals.captured, totals.skipped) == (3, 1, 1)


def test_frames_that_wait_for_the_slot_too_long_give_way_to_newer_ones():
    b = Bench()
    b.frame()
    b.wait(5)
    b.local_done()
    for _ in range(5):
        b.frame()
        b.wait(1)
    assert b.outcomes() == ["fresh_on_time", "carried_on_time", "carried_on_time"]
    assert [job.frame_id for job in b.starter.jobs] == [0, 1]
    b.local_done()
    assert b.starter.jobs[-1].frame_id == 5, "fresh beats complete"


def test_an_offloaded_frame_is_answered_by_the_worker():
    b = Bench(policy="offload")
    b.frame()
    b.wait(20)
    b.reply(0)
    assert b.outcomes() == ["fresh_on_time"]
    assert b.answers[0].path is Path.OFFLOAD
    assert b.starter.jobs == []
    line = frame_line(b.lines[0], headset="hs-1")
    assert (line["rtt_ms"], line["worker"], line["model"]) == (5.0, "w-1", "f" * 12)


def test_without_a_reply_the_frame_is_hedged_in_time_and_the_first_result_wins():
    b = Bench(policy="offload", reply_timeout_ms=95, local_ms=20)
    b.frame()
    b.wait(64)  # 100 - 25 for a run at worst - 10 of margin = 65
    assert b.starter.jobs == []
    b.wait(1)
    assert len(b.starter.jobs) == 1
    b.wait(8)
    b.reply(0)
    assert b.answers == {}, "the line waits for the local run"
    b.wait(10)
    b.local_done()
    assert b.answers[0].path is Path.OFFLOAD
    results = [attempt.result for attempt in b.lines[0].attempts]
    assert results == ["ok", "ok"]


@pytest.mark.parametrize("trouble", ["refusal", "link", "missing"])
def test_trouble_sends_what_is_out_there_to_the_slot_at_once(trouble):
    b = Bench(policy="offload", reply_timeout_ms=40)
    b.frame()
    b.wait(5)
    if trouble == "refusal":
        b.reply(0, refusal="busy")
        assert b.remote.refusals == {"busy": 1}
    elif trouble == "link":
        b.journey.on_link_trouble("the link is suspect", now_ns=b.now_ns)
    else:
        b.wait(35)
    assert len(b.starter.jobs) == 1
    b.wait(10)
    b.local_done()
    assert b.journey.pending == 0


def test_a_reply_after_it_was_counted_as_missing_can_still_be_the_first():
    b = Bench(policy="offload", reply_timeout_ms=40)
    b.frame()
    b.wait(45)
    b.reply(0)
    b.local_done()
    assert b.answers[0].path is Path.OFFLOAD
    assert b.lines[0].attempts[0].result == "late"


def test_a_frame_that_the_road_does_not_take_stays_here():
    b = Bench(policy="offload")
    b.uplink.is_open = False
    b.frame()
    assert len(b.starter.jobs) == 1


def test_a_model_that_fails_is_answered_from_memory():
    b = Bench()
    b.frame()
    b.wait(5)
    b.local_done()
    b.frame()
    b.wait(5)
    b.local_done(error="broken")
    b.wait(100)
    assert b.outcomes() == ["fresh_on_time", "carried_on_time"]
    assert b.perception.use.failures == 1


def test_one_very_slow_run_does_not_stop_the_slot_for_ever():
    b = Bench()
    b.frame()
    b.wait(300)
    b.local_done(started_ns=0)
    for _ in range(4):
        b.wait(33)
        b.frame()
        b.wait(5)
        b.local_done(started_ns=b.now_ns - 5 * MS)
    assert b.outcomes() == ["late"] + ["fresh_on_time"] * 4


def test_the_threshold_policy_goes_up_by_probes_and_down_by_a_missing_reply():
    b = Bench(policy="rtt-threshold")
    b.climb()
    assert not b.uplink.frames
    b.frame()
    assert len(b.uplink.frames) == 1
    b.wait(60)
    b.frame()
    assert len(b.uplink.frames) == 1
    assert [(before, after) for before, after, _ in b.switches] == [
        (Path.LOCAL, Path.OFFLOAD),
        (Path.OFFLOAD, Path.LOCAL),
    ]
    assert "a reply is missing" in b.switches[1][2]


def test_a_probe_without_an_answer_is_lost_and_its_late_answer_does_not_count():
    b = Bench(policy="rtt-threshold", reply_timeout_ms=50, probe_interval_ms=100)
    b.wait(0)
    ping = b.uplink.pings.pop()
    b.wait(60)
    assert b.remote.pings_lost == 1
    b.reply(ping, task=Task.PING)
    assert b.remote.rtt_ns("w-1") is None


def test_a_new_config_counts_from_the_next_frame_on():
    b = Bench()
    b.frame()
    b.wait(5)
    b.local_done()
    b.journey.use(SplitConfig(policy="offload", deadline_ms=50))
    b.frame()
    assert b.uplink.frames[0].deadline_ns == b.now_ns + 50 * MS


def test_a_trial_of_the_engine_runs_beside_an_offloaded_frame_and_answers_nothing():
    b = Bench(policy="offload", local_ms=20)
    b.frame()
    b.journey.local.want_trial()
    b.wait(1)
    assert len(b.starter.jobs) == 1
    b.wait(3)
    b.local_done()
    b.wait(10)
    assert b.lines == []
    assert (b.perception.runs.well, b.perception.runs.failed) == (1, 0)
    b.reply(0)
    assert b.answers[0].path is Path.OFFLOAD
    assert [attempt.path for attempt in b.lines[0].attempts] == [Path.OFFLOAD]
    b.frame()
    b.wait(5)
    assert len(b.starter.jobs) == 1, "one trial is enough"


def test_runs_are_counted_for_the_engine_in_place_only():
    b = Bench()
    b.frame()
    b.journey.local.use(replace(ENGINE, label="new"), now_ns=b.now_ns)
    b.wait(5)
    b.local_done(error="the old one fails")
    assert (b.perception.runs.well, b.perception.runs.failed) == (0, 0)
    b.frame()
    b.wait(5)
    b.local_done()
    assert (b.perception.runs.well, b.perception.runs.failed) == (1, 0)


def test_a_simulated_device_holds_results_until_it_would_have_them():
    b = Bench(device_class="xr-slow", local_ms=1)
    b.frame()
    b.wait(1)
    b.local_done()
    assert b.lines == []
    b.wait(60)
    assert b.outcomes() == ["fresh_on_time"]
    assert 20 * MS < b.answers[0].latency_ns < 34 * MS
    assert b.lines[0].host_late is False


def test_a_real_run_that_took_longer_than_the_device_is_flagged():
    b = Bench(device_class="xr-slow", local_ms=80)
    b.frame()
    b.wait(80)
    b.local_done()
    assert b.lines[0].host_late is True
    assert b.answers[0].latency_ns == 80 * MS


def test_the_end_answers_everything_that_is_pending():
    b = Bench(policy="offload")
    b.frame()
    b.wait(3)
    b.reply(0)
    b.frame()
    b.frame()
    b.journey.finish(now_ns=b.now_ns)
    assert b.outcomes() == ["fresh_on_time", "carried_on_time", "carried_on_time"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 60)),
        st.tuples(st.just("frame"), st.sampled_from(["captured", "missed", "skipped"])),
        st.tuples(st.just("local"), st.booleans()),
        st.tuples(st.just("reply"), st.sampled_from(["", "busy", "expired"])),
        st.tuples(st.just("link"), st.booleans()),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([name for name in POLICIES if name != "split"]))
def test_every_scheduled_frame_gets_exactly_one_answer_whatever_happens(steps, policy):
    b = Bench(policy=policy, reply_timeout_ms=40)
    ended = 0
    for what, how in steps:
        if what == "wait":
            b.wait(how)
        elif what == "frame":
            b.frame(captured=how == "captured", skipped=how == "skipped")
        elif what == "local" and len(b.starter.jobs) > ended and b.perception.busy:
            ended = len(b.starter.jobs)
            b.local_done(error="" if how else "broken")
        elif what == "reply" and b.uplink.frames:
            b.reply(b.uplink.frames[-1].frame_id, refusal=how)
        elif what == "link":
            b.remote.ready = how
            if not how:
                b.journey.on_link_trouble("the link is suspect", now_ns=b.now_ns)
    b.wait(2200)
    totals = b.journey.answers.ledger.totals
    assert sorted(line.frame_id for line in b.lines) == list(range(b.next_id))
    assert totals.scheduled == sum(totals.outcomes.values()) == b.next_id
    for line in b.lines:
        answer = line.answer
        on_time = answer.answer_ns <= line.deadline_ns
        assert on_time == (answer.outcome in {Outcome.FRESH_ON_TIME, Outcome.CARRIED_ON_TIME})
        if answer.outcome is Outcome.FRESH_ON_TIME:
            assert answer.result_frame_id == line.frame_id


def deadline_bench():
    """A bench whose policy ``deadline`` went up on probes that were answered well; nothing is under way."""
    return gone_up(Bench(policy="deadline", local_ms=20))


def gone_up(b):
    """Answer every probe and shadow until a frame leaves, and that frame too."""
    for _ in range(20):
        for _ in range(10):
            b.wait(5)
            while b.uplink.pings:
                b.reply(b.uplink.pings.pop(), task=Task.PING)
        frame_id = b.frame()
        b.wait(20)
        if b.uplink.frames and b.uplink.frames[-1].frame_id == frame_id:
            b.reply(frame_id)
        if b.journey.mode is Path.OFFLOAD:
            return b
        b.local_done()
    raise AssertionError("it never leaves")


def run_here(b, duration_ms, *, ended):
    """Let time pass and end each local run after ``local_ms``; returns how many had ended."""
    begun_ns = b.now_ns
    for _ in range(duration_ms):
        if len(b.starter.jobs) == ended:
            begun_ns = b.now_ns
        b.wait(1)
        if len(b.starter.jobs) > ended and b.now_ns - begun_ns >= b.local_ms * MS:
            ended, begun_ns = len(b.starter.jobs), b.now_ns
            b.local_done()
    return ended


def test_the_deadline_policy_goes_up_on_good_replies_and_sends_no_more_probes():
    b = Bench(policy="deadline", local_ms=20)
    b.frame()
    b.wait(20)
    b.local_done()
    assert (b.journey.mode, b.journey.reason) == (Path.LOCAL, "too little is known of the link")
    b = deadline_bench()
    sent = len(b.uplink.frames)
    for _ in range(30):
        frame_id = b.frame()
        b.wait(10)
        b.reply(frame_id)
        b.wait(23)
    assert len(b.uplink.frames) == sent + 30
    assert b.uplink.pings == []
    assert [after for _, after, _ in b.switches] == [Path.OFFLOAD]
    assert b.answers[b.next_id - 1].path is Path.OFFLOAD
    assert b.lines[-1].p_on_time > 0.9


def test_a_probe_that_was_out_when_the_config_changed_keeps_no_frame_here_for_ever():
    b = Bench(policy="deadline", local_ms=20)
    b.wait(1)
    b.frame()
    b.wait(20)
    b.local_done()
    assert b.uplink.pings.pop() == 0  # it is never answered
    b.journey.use(SplitConfig(policy="deadline", deadline_ms=80))
    gone_up(b)
    assert b.journey.remote.pings_lost == 1


def test_in_a_black_hole_every_frame_is_answered_once_and_soon_none_leaves():
    b = deadline_bench()
    b.uplink.frames.clear()
    begin, ended = b.next_id, len(b.starter.jobs)
    for _ in range(90):
        b.frame()
        ended = run_here(b, 34, ended=ended)
    run_here(b, 2200, ended=ended)
    assert sorted(line.frame_id for line in b.lines) == list(range(b.next_id))
    lost = [line for line in sorted(b.lines, key=lambda line: line.frame_id) if line.frame_id >= begin]
    assert {line.answer.outcome for line in lost} <= {Outcome.FRESH_ON_TIME, Outcome.CARRIED_ON_TIME}
    assert 0 < len(b.uplink.frames) < 15  # under half a second
    assert {line.answer.path for line in lost[-60:]} == {Path.LOCAL}


def test_always_duplicate_starts_a_run_here_at_once_and_the_first_result_wins():
    b = Bench(policy="always-duplicate", local_ms=20)
    b.frame()
    assert (len(b.uplink.frames), len(b.starter.jobs)) == (1, 1)
    b.wait(10)
    b.reply(0)
    b.wait(10)
    b.local_done()
    assert b.answers[0].path is Path.OFFLOAD
    assert sorted(attempt.path for attempt in b.lines[0].attempts) == [Path.LOCAL, Path.OFFLOAD]
    b.frame()
    b.wait(20)
    b.local_done()
    b.wait(2200)
    assert b.answers[1].path is Path.LOCAL
    assert b.outcomes() == ["fresh_on_time"] * 2


def test_a_full_ledger_gives_up_the_oldest_and_counts_it():
    ledger = Ledger(limit=2)
    for frame_id in range(3):
        pushed_out = ledger.schedule(
            frame_id, scheduled_ns=frame_id, deadline_ns=100, captured=True, skipped=False
        )
    assert (pushed_out.frame_id, pushed_out.outcome) == (0, Outcome.NONE)
    assert ledger.settle(0, now_ns=5, path=Path.LOCAL, result_frame_id=0, captured_ns=0) is None
    assert ledger.is_open(2)
    with pytest.raises(ValueError, match="one by one"):
        ledger.schedule(7, scheduled_ns=7, deadline_ns=100, captured=True, skipped=False)
