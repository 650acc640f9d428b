import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.run_times import FEWEST
from schemas.messages import Audio, Encoding, RefusalReason, Task
from tests.cloud_worker.builders import MS, frame, header, part, request

LOADED, CUTTABLE = b"\x07" * 32, b"\x09" * 32
CONFIG = IntakeConfig(
    offers={
        Task.HANDS: Offer(models=frozenset({LOADED}), part_models=frozenset({CUTTABLE})),
        Task.TEXT: Offer(),
    },
    depth=2,
    max_pixels=64 * 48,
)
AUDIO = Audio(header=header(), sample_rate_hz=16000, channels=1, encoding=Encoding.PCM_S16LE, payload=b"\0\0")

REFUSED = [
    ("a task this worker lacks", request(task=Task.DETECT), RefusalReason.UNSUPPORTED_TASK),
    ("a message of another kind", request(message=AUDIO), RefusalReason.UNSUPPORTED_TASK),
    ("a placement nobody announced", request(placement_id=9), RefusalReason.UNKNOWN_PLACEMENT),
    ("tensors without a cut", request(message=part()), RefusalReason.UNKNOWN_PLACEMENT),
    (
        "tensors for a task that is not answered in parts",
        request(message=part(placement_id=3, task=Task.TEXT)),
        RefusalReason.UNKNOWN_PLACEMENT,
    ),
    (
        "tensors of a model that is answered whole only",
        request(message=part(placement_id=3, model_digest=LOADED)),
        RefusalReason.UNKNOWN_MODEL,
    ),
    ("tensors of no model", request(message=part(placement_id=3)), RefusalReason.UNKNOWN_MODEL),
    (
        "a frame for a model that is answered in parts only",
        request(model_digest=CUTTABLE),
        RefusalReason.UNKNOWN_MODEL,
    ),
    ("a model that is not loaded", request(model_digest=b"\x08" * 32), RefusalReason.UNKNOWN_MODEL),
    ("more pixels than allowed", request(message=frame(width=65, height=48)), RefusalReason.TOO_LARGE),
    ("a budget that is over", request(left_ns=0), RefusalReason.EXPIRED),
    ("a budget lost on the way", request(left_ns=-5), RefusalReason.EXPIRED),
]


@pytest.mark.parametrize(("asked", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_each_wrong_request_is_refused_with_its_reason(asked, reason):
    intake = Intake(CONFIG)
    (refused,) = intake.offer(asked, now_ns=0)
    assert refused.request is asked
    assert refused.reason is reason
    assert refused.detail
    assert len(intake) == 0


def test_the_loaded_model_may_be_asked_for_by_name_or_left_open():
    intake = Intake(CONFIG)
    assert intake.offer(request("h-1", model_digest=LOADED), now_ns=0) == ()
    assert intake.offer(request("h-2"), now_ns=0) == ()


def test_live_tensors_of_a_model_that_is_cut_here_are_let_through_to_who_knows_its_placements():
    asked = request(message=part(placement_id=3, model_digest=CUTTABLE))
    assert Intake(CONFIG).offer(asked, now_ns=0) == ()


def test_a_full_line_refuses_another_headset_but_not_a_newer_frame_of_one_in_line():
    intake = Intake(CONFIG)
    assert intake.offer(request("h-1"), now_ns=0) == ()
    assert intake.offer(request("h-2"), now_ns=0) == ()
    (busy,) = intake.offer(request("h-3"), now_ns=0)
    assert (busy.reason, busy.request.device) == (RefusalReason.BUSY, "h-3")
    assert busy.retry_after_ms > 0
    (older,) = intake.offer(request("h-1", frame_id=2), now_ns=0)
    assert (older.reason, older.request.header.frame_id) == (RefusalReason.BUSY, 1)


def test_a_newer_frame_keeps_the_turn_of_the_one_it_replaces():
    intake = Intake(CONFIG)
    intake.offer(request("h-1", frame_id=1), now_ns=0)
    intake.offer(request("h-2", frame_id=1), now_ns=0)
    intake.offer(request("h-1", frame_id=2), now_ns=0)
    taken, _ = intake.take(now_ns=0)
    assert (taken.device, taken.header.frame_id) == ("h-1", 2)


def test_a_replaced_frame_whose_budget_is_over_is_called_expired():
    intake = Intake(CONFIG)
    intake.offer(request(left_ns=MS), now_ns=0)
    (older,) = intake.offer(request(frame_id=2, received_ns=2 * MS), now_ns=2 * MS)
    assert older.reason is RefusalReason.EXPIRED


def test_what_expires_in_line_is_refused_before_its_turn():
    intake = Intake(CONFIG)
    intake.offer(request("h-1", left_ns=9 * MS), now_ns=0)
    intake.offer(request("h-2", left_ns=MS), now_ns=0)
    (refused,) = intake.offer(request("h-3", received_ns=2 * MS), now_ns=2 * MS)
    assert (refused.request.device, refused.reason) == ("h-2", RefusalReason.EXPIRED)
    assert [intake.take(now_ns=2 * MS)[0].device for _ in range(2)] == ["h-1", "h-3"]


def test_what_expired_in_line_is_refused_when_its_turn_comes():
    intake = Intake(CONFIG)
    intake.offer(request("h-1", left_ns=MS), now_ns=0)
    intake.offer(request("h-2", left_ns=9 * MS), now_ns=0)
    taken, expired = intake.take(now_ns=2 * MS)
    assert taken.device == "h-2"
    assert [(r.request.device, r.reason) for r in expired] == [("h-1", RefusalReason.EXPIRED)]


def test_who_would_be_late_as_a_later_one_of_a_batch_stays_for_another_slot():
    intake = Intake(CONFIG)
    intake.offer(request("h-1", left_ns=9 * MS), now_ns=0)
    _runs_took(intake, 5 * MS)
    assert intake.take(now_ns=0, behind_ns=5 * MS) == (None, ())
    assert intake.take(now_ns=0)[0].device == "h-1"


def test_draining_refuses_who_waits_and_who_comes():
    intake = Intake(CONFIG)
    intake.offer(request("h-1"), now_ns=0)
    assert [r.reason for r in intake.drain()] == [RefusalReason.DRAINING]
    assert [r.reason for r in intake.offer(request("h-2"), now_ns=0)] == [RefusalReason.DRAINING]
    assert intake.take(now_ns=0) == (None, ())


def test_a_headset_that_sends_twice_as_often_gets_no_larger_share():
    intake, served = Intake(CONFIG), []
    for n in range(100):
        intake.offer(request("fast", frame_id=2 * n), now_ns=0)
        intake.offer(request("fast", frame_id=2 * n + 1), now_ns=0)
        intake.offer(request("slow", frame_id=n), now_ns=0)
        served.append(intake.take(now_ns=0)[0].device)
    assert served.count("slow") == 50


steps = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 4), st.integers(-1, 20)),
    st.tuples(st.just("take"), st.just(0), st.just(0)),
    st.tuples(st.just("ran"), st.just(0), st.integers(0, 9)),
    st.tuples(st.just("drain"), st.just(0), st.just(0)),
)


@given(st.lists(steps, max_size=80), st.integers(0, 3), st.sampled_from([0, 4]))
def test_every_request_comes_out_exactly_once_and_none_is_begun_without_time_for_it(
    script, step_ms, known_ms
):
    intake, inside, out, running, now_ns = Intake(CONFIG), [], [], [], 0
    if known_ms:
        _runs_took(intake, known_ms * MS)
    for number, (word, device, amount_ms) in enumerate(script):
        now_ns += step_ms * MS
        if word == "offer":
            asked = request(f"h-{device}", frame_id=number, received_ns=now_ns, left_ns=amount_ms * MS)
            inside.append(asked)
            out += [refused.request for refused in intake.offer(asked, now_ns=now_ns)]
        elif word == "take":
            taken, expired = intake.take(now_ns=now_ns)
            out += [refused.request for refused in expired] + ([taken] if taken else [])
            running += [taken] if taken else []
            assert taken is None or taken.left_at(now_ns) > 0
        elif word == "ran" and running:
            intake.ran(running.pop(), took_ns=amount_ms * MS, now_ns=now_ns, answered=amount_ms > 2)
        elif word == "drain":
            out += [refused.request for refused in intake.drain()]
        assert len(intake) <= CONFIG.depth
    out += [refused.request for refused in intake.drain()]
    assert sorted(map(id, out)) == sorted(map(id, inside))


def _runs_took(intake, took_ns, *, task=Task.HANDS):
    for _ in range(FEWEST):
        intake.ran(request(task=task), took_ns=took_ns, now_ns=0)


def test_before_the_first_run_nobody_is_refused_for_lack_of_time():
    assert Intake(CONFIG).offer(request(left_ns=1), now_ns=0) == ()


def test_a_request_with_less_time_left_than_a_run_takes_is_refused_when_it_comes():
    intake = Intake(CONFIG)
    _runs_took(intake, 8 * MS)
    (refused,) = intake.offer(request(left_ns=7 * MS), now_ns=0)
    assert refused.reason is RefusalReason.EXPIRED
    assert "8.0 ms" in refused.detail
    assert intake.offer(request(left_ns=9 * MS), now_ns=0) == ()


def test_a_request_that_lost_the_time_for_a_run_in_line_is_not_begun():
    intake = Intake(CONFIG)
    intake.offer(request("h-1", left_ns=9 * MS), now_ns=0)
    intake.offer(request("h-2", left_ns=30 * MS), now_ns=0)
    _runs_took(intake, 8 * MS)
    taken, expired = intake.take(now_ns=2 * MS)
    assert taken.device == "h-2"
    assert [refused.request.device for refused in expired] == ["h-1"]


def test_slow_runs_of_one_task_refuse_nobody_of_another():
    intake = Intake(CONFIG)
    _runs_took(intake, 50 * MS, task=Task.TEXT)
    assert intake.offer(request(left_ns=MS), now_ns=0) == ()


def test_a_request_that_cannot_be_begun_in_time_behind_those_in_line_hears_at_once_when_there_is_room():
    intake = Intake(IntakeConfig(offers=CONFIG.offers))
    _runs_took(intake, 8 * MS)
    for number in range(3):
        assert intake.offer(request(f"h-{number}", left_ns=27 * MS), now_ns=0) == ()
    (busy,) = intake.offer(request("h-9", left_ns=30 * MS), now_ns=0)
    assert intake.offer(request("h-8", left_ns=33 * MS), now_ns=0) == ()
    assert (busy.reason, busy.retry_after_ms) == (RefusalReason.BUSY, 2)


def test_who_runs_counts_as_ahead_until_it_ends():
    intake = Intake(IntakeConfig(offers=CONFIG.offers))
    _runs_took(intake, 8 * MS)
    intake.offer(request("h-1"), now_ns=0)
    running, _ = intake.take(now_ns=0)
    (busy,) = intake.offer(request("h-2", left_ns=12 * MS), now_ns=0)
    assert busy.reason is RefusalReason.BUSY
    intake.ran(running, took_ns=2 * MS, now_ns=2 * MS)
    assert intake.offer(request("h-2", received_ns=2 * MS, left_ns=10 * MS), now_ns=2 * MS) == ()


def test_another_slot_runs_what_one_slot_has_no_time_for():
    intake = Intake(IntakeConfig(offers=CONFIG.offers, slots=2))
    _runs_took(intake, 8 * MS)
    intake.offer(request("h-1"), now_ns=0)
    intake.take(now_ns=0)
    assert intake.offer(request("h-2", left_ns=12 * MS), now_ns=0) == ()


def test_what_brought_no_answer_teaches_nothing():
    intake = Intake(CONFIG)
    for _ in range(FEWEST):
        intake.ran(request(), took_ns=90 * MS, now_ns=0, answered=False)
    assert intake.offer(request(left_ns=MS), now_ns=0) == ()


def test_a_newer_frame_that_is_too_late_for_the_place_leaves_it_to_the_older():
    intake = Intake(IntakeConfig(offers=CONFIG.offers))
    _runs_took(intake, 8 * MS)
    intake.offer(request("h-1"), now_ns=0)
    intake.offer(request("h-2", frame_id=1), now_ns=0)
    (refused,) = intake.offer(request("h-2", frame_id=2, left_ns=9 * MS), now_ns=0)
    assert (refused.request.header.frame_id, refused.reason) == (2, RefusalReason.BUSY)


def test_a_headset_that_was_turned_away_is_not_turned_away_again_for_one_that_got_more():
    intake = Intake(IntakeConfig(offers=CONFIG.offers))
    _runs_took(intake, 8 * MS)
    begun: list[str] = []
    for turn in range(40):  # room for one that runs and one that waits, and all ask in the same order
        now_ns = turn * 16 * MS
        for device in ("first", "second", "third"):
            intake.offer(request(device, frame_id=turn, received_ns=now_ns, left_ns=17 * MS), now_ns=now_ns)
        while len(intake):
            taken, _ = intake.take(now_ns=now_ns)
            begun.append(taken.device)
            now_ns += 8 * MS
            intake.ran(taken, took_ns=8 * MS, now_ns=now_ns)
    assert len(begun) == 80
    assert begun.count("third") >= 15
    assert begun.count("second") >= 15
