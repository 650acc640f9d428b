"""A worker that says no: because our own newer frame took the place, or because it asks to be left alone for a while."""

import pytest
from edge_bench import MS, Bench

from edge_node.departures import REMEMBERED, Departures
from edge_node.replies import RemoteReply
from schemas.messages import Task, Timing


def reply(*, refusal="busy", sent_ms=0, waited_ms=0):
    return RemoteReply(
        task=Task.HANDS,
        frame_id=0,
        worker="w-1",
        received_ns=40 * MS,
        rtt_ns=5 * MS,
        capture_ns=0,
        model_digest="",
        result=None,
        refusal=refusal,
        sent_ns=sent_ms * MS,
        timing=Timing(received_ns=0, queue_us=round(waited_ms * 1000)),
    )


def left(*times_ms):
    departures = Departures()
    for at_ms in times_ms:
        departures.note(at_ms * MS)
    return departures


@pytest.mark.parametrize(
    ("said", "replaced"),
    [
        ({"waited_ms": 33}, True),
        ({"waited_ms": 20}, True),  # the newer one was quicker on the way
        ({"waited_ms": 0.4}, False),  # the line was full
        ({"waited_ms": 33, "refusal": "expired"}, False),
        ({"waited_ms": 33, "sent_ms": 33}, False),  # the newest of all
    ],
)
def test_what_waited_until_a_newer_one_came_was_replaced_by_it(said, replaced):
    assert left(0, 33).was_replaced(reply(**said)) is replaced


def test_only_the_newest_departures_are_remembered():
    departures = left(*range(10 * REMEMBERED))
    assert len(departures._left_ns) == REMEMBERED


def two_out():
    """Two frames that left, the older of which a worker keeps."""
    b = Bench(policy="offload", deadline_ms=200)
    first = b.frame()
    b.wait(33)
    second = b.frame()
    b.wait(2)
    return b, first, second


def test_a_frame_that_gave_its_place_to_a_newer_one_is_computed_here_and_the_worker_is_none_the_worse():
    b, first, second = two_out()
    b.reply(first, refusal="busy", queue_ms=28, rtt_ms=2, retry_after_ms=15)
    assert (b.remote.refusals, b.remote.replaced) == ({}, 1)
    assert b.remote.routes.of("w-1").refusals == {}
    assert [job.frame_id for job in b.starter.jobs] == [first], "the newer one needs no help"
    b.wait(31)
    b.local_done()
    third = b.frame()
    assert [out.frame_id for out in b.uplink.frames] == [first, second, third]
    b.wait(400)
    line = next(line for line in b.lines if line.frame_id == first)
    assert [attempt.result for attempt in line.attempts] == ["replaced", "ok"]


def test_a_frame_that_found_the_line_full_is_a_refusal_although_a_newer_one_is_out():
    b, first, second = two_out()
    b.reply(first, refusal="busy", rtt_ms=30)
    assert (b.remote.refusals, b.remote.replaced) == ({"busy": 1}, 0)
    assert b.remote.routes.of("w-1").refusals == {"busy": 1}
    assert b.starter.jobs[0].frame_id == second, "every frame is helped"


def test_the_only_worker_gets_nothing_before_the_time_it_named_and_frames_are_computed_here_meanwhile():
    b = Bench(policy="offload", deadline_ms=50)
    first = b.frame()
    b.wait(5)
    b.reply(first, refusal="busy", retry_after_ms=60)
    b.wait(10)
    b.local_done()
    sent = [first]
    for at_ms in (33, 66, 99):
        b.wait(at_ms - b.now_ns / MS)
        frame_id = b.frame()
        if at_ms > 65:
            sent.append(frame_id)
        else:
            assert b.starter.jobs[-1].frame_id == frame_id, "it is computed at once"
            b.wait(10)
            b.local_done()
    assert [out.frame_id for out in b.uplink.frames] == sent
    assert b.switches[1:] == [], "a pause is no change of the way"


def test_another_process_of_a_worker_is_not_held_to_what_the_one_before_said():
    b = Bench(policy="offload")
    b.frame()
    b.wait(5)
    b.reply(0, refusal="busy", retry_after_ms=60_000)
    assert not b.remote.workers.may_ask("w-1", now_ns=b.now_ns)
    presence = b.remote.workers._known["w-1"].presence
    b.remote.workers.on_presence(presence.model_copy(update={"boot_id": "9" * 32}))
    assert b.remote.workers.may_ask("w-1", now_ns=b.now_ns)
