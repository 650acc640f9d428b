"""Copies that only teach: what they may cost, and that they never answer a frame."""

from itertools import accumulate

from edge_bench import FRAME_BYTES, MS, PING_BYTES, Bench, worker_presence
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.decide import Path
from edge_node.flight import Stage, frame_line
from edge_node.shadows import APART, EAGER, WINDOW, ShadowBudget
from schemas.messages import Task

SHARE = 0.01


PICTURE = 20_000


@settings(max_examples=20)
@given(st.integers(0, 120), st.integers(60, 900))
def test_in_no_minute_pings_and_shadows_take_more_than_their_share(ping_bytes, between_beginnings):
    budget, pinged, spent = ShadowBudget(), 0, []
    for number in range(2 * WINDOW):
        if number % between_beginnings == 0:
            budget.begin()
        pinged += ping_bytes
        budget.stay(share=SHARE, picture_bytes=PICTURE, pinged_bytes=pinged)
        sends = budget.may_send(PICTURE)
        if sends:
            budget.sent(PICTURE)
        spent.append(ping_bytes + sends * PICTURE)
    sums = [0, *accumulate(spent)]
    assert max(sums[end + WINDOW] - sums[end] for end in range(WINDOW)) <= SHARE * WINDOW * PICTURE


def leaving(budget, frames):
    """In which of so many frames a shadow leaves."""
    left = []
    for number in range(frames):
        budget.stay(share=SHARE, picture_bytes=PICTURE, pinged_bytes=0)
        if budget.may_send(PICTURE):
            budget.sent(PICTURE)
            left.append(number)
    return left


def test_of_a_new_link_a_few_leave_soon_on_credit_and_later_ones_pay_that_back():
    budget = ShadowBudget()
    budget.begin()
    at_once = [number * APART for number in range(EAGER)]
    assert leaving(budget, 200) == at_once
    assert len(leaving(budget, WINDOW - 200)) == WINDOW * SHARE - EAGER
    budget.begin()
    assert leaving(budget, 30) == at_once, "for those that left a minute ago"
    budget.begin()
    assert leaving(budget, 30) == [], "this minute's share is used up"


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
    assert EAGER <= len(shadows) <= EAGER + 4
    spent = len(shadows) * FRAME_BYTES + len(b.uplink.pings) * PING_BYTES
    assert spent <= SHARE * 400 * FRAME_BYTES + (EAGER + 1) * FRAME_BYTES
    assert {line.mode for line in b.lines} == {Path.LOCAL}


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
    route = b.remote.routes.of("w-1")
    assert not route.is_stalled(now_ns=b.now_ns)
    b.wait(10)
    assert route.is_stalled(now_ns=b.now_ns)
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


def test_another_worker_and_a_link_that_came_back_are_learned_at_once():
    b = never_leaving(probe_interval_ms=10_000)
    assert len(stays(b, 30)) == EAGER
    b.remote.workers.on_presence(worker_presence("w-2"))
    b.remote.workers.on_presence(worker_presence("w-1", online=False))
    assert len(stays(b, 30)) == EAGER
    b.remote.ready = False
    assert stays(b, 3) == []
    b.remote.ready = True
    assert len(stays(b, 30)) == EAGER
