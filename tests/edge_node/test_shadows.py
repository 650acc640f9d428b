"""Copies that only teach: what they may cost, and that they never answer a frame."""

from edge_bench import FRAME_BYTES, MS, PING_BYTES, Bench
from hypothesis import given
from hypothesis import strategies as st

from edge_node.decide import Path
from edge_node.flight import Stage, frame_line
from edge_node.shadows import ShadowBudget
from schemas.messages import Task

SHARE = 0.01


@given(st.lists(st.tuples(st.integers(1_000, 60_000), st.integers(0, 2_000)), max_size=400))
def test_pings_and_shadows_together_stay_below_their_share(frames):
    budget, pinged, shadows, worth = ShadowBudget(), 0, 0, 0
    for picture_bytes, ping_bytes in frames:
        pinged += ping_bytes
        worth += picture_bytes
        budget.stay(share=SHARE, picture_bytes=picture_bytes, pinged_bytes=pinged)
        if budget.may_send(picture_bytes):
            budget.sent(picture_bytes)
            shadows += picture_bytes
    assert shadows <= SHARE * worth


def test_pings_are_paid_first():
    budget = ShadowBudget()
    for number in range(200):
        budget.stay(share=SHARE, picture_bytes=10_000, pinged_bytes=100 * number)
    assert not budget.may_send(10_000)


def stays(b, frames):
    """Frames that are computed here at once; pings are answered so late that none leaves."""
    shadows = []
    for _ in range(frames):
        before = len(b.uplink.frames)
        frame_id = b.frame()
        if len(b.uplink.frames) > before:
            shadows.append(frame_id)
        b.wait(12)
        b.local_done()
        b.wait(21)
    return shadows


def never_leaving(**split):
    return Bench(policy="deadline", local_ms=12, on_time_floor=1.0, deadline_ms=33, **split)


def test_while_frames_stay_a_copy_of_one_leaves_now_and_then_within_the_share():
    b = never_leaving()
    shadows = stays(b, 400)
    assert 1 <= len(shadows) <= 4
    spent = len(shadows) * FRAME_BYTES + len(b.uplink.pings) * PING_BYTES
    assert spent <= SHARE * 400 * FRAME_BYTES + FRAME_BYTES
    assert {line.mode for line in b.lines} == {Path.LOCAL}


def samples(b):
    return b.remote.rungs("w-1", now_ns=b.now_ns)[0].forecast.samples


def test_the_reply_to_a_shadow_teaches_the_route_and_answers_nothing():
    b = never_leaving()
    while not b.uplink.frames:
        frame_id = b.frame()
        if not b.uplink.frames:
            b.wait(12)
            b.local_done()
            b.wait(21)
    assert b.remote.rtt_ns("w-1") is None
    b.wait(10)
    b.reply(frame_id, rtt_ms=4)
    assert b.remote.rtt_ns("w-1") == 4 * MS
    assert frame_id not in b.answers
    b.wait(2)
    b.local_done()
    answer = b.answers[frame_id]
    assert (answer.path, answer.latency_ns) == (Path.LOCAL, 12 * MS)
    line = frame_line(b.lines[-1], headset="hs-1")
    assert (line["shadow"], line["payload_bytes"]) == (True, FRAME_BYTES)
    assert "wasted_runs" not in line
    assert [attempt["path"] for attempt in line["attempts"]] == ["local"]


def test_a_shadow_that_is_lost_teaches_too_and_hurries_no_frame():
    b = never_leaving(reply_timeout_ms=40, probe_interval_ms=10_000)
    while not b.uplink.frames:
        frame_id = b.frame()
        b.wait(12)
        b.local_done()
        b.wait(21)
    assert frame_id not in b.answers, "its line waits for the reply"
    known = samples(b)
    b.wait(10)
    assert samples(b) == known + 1
    b.wait(2000)
    line = next(line for line in b.lines if line.frame_id == frame_id)
    assert (line.answer.path, line.remote) == (Path.LOCAL, Stage.OVERDUE)
    b.reply(frame_id, task=Task.HANDS)
    assert sorted(line.frame_id for line in b.lines) == list(range(b.next_id))


def test_critical_frames_other_policies_and_a_share_of_nothing_send_no_shadows():
    assert stays(never_leaving(criticality={"hands": "critical"}), 160) == []
    assert stays(never_leaving(shadow_share=0), 160) == []
    assert stays(never_leaving(tiers=["local"]), 160) == []
    assert stays(Bench(policy="rtt-threshold", local_ms=12, deadline_ms=33), 160) == []
