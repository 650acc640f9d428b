"""What a headset knows of its workers: everything reaches the route of the worker that it is about."""

from types import SimpleNamespace

import pytest

from edge_node.decide import Path
from edge_node.estimates.work import PING
from edge_node.picture_sizes import FIRST_BYTES
from edge_node.replies import RemoteReply
from edge_node.routes import WORKERS, Routes
from edge_node.workers import PartWanted
from schemas.messages import Task, Timing

MS = 1_000_000
S = 1000 * MS
PART = PartWanted(model="a" * 64, kernel="e" * 64, placement_id=7)


def reply(
    frame_id, *, worker="w-1", sent_ns=0, total_ms=20, run_ms=5, task=Task.HANDS, timing=True, **fields
):
    received_ns = sent_ns + total_ms * MS
    spent = Timing(received_ns=received_ns - 8 * MS, queue_us=1000, decode_us=1000, run_us=run_ms * 1000)
    return RemoteReply(
        task=task,
        frame_id=frame_id,
        worker=worker,
        received_ns=received_ns,
        rtt_ns=(total_ms - 2 - run_ms) * MS,
        capture_ns=0,
        model_digest="f" * 64,
        result=None,
        sent_ns=sent_ns,
        payload_bytes=9_000,
        result_bytes=700,
        timing=spent if timing else None,
        replied_ns=received_ns - MS if timing else None,
        **fields,
    )


def waiting(route):
    return len(route._pending)


def talk(routes, worker="w-1", *, count=20, total_ms=20):
    """Pictures that were all answered."""
    for frame_id in range(count):
        sent_ns = frame_id * 33 * MS
        routes.picture_left(worker, frame_id, payload_bytes=9_000, now_ns=sent_ns)
        heard = reply(frame_id, worker=worker, sent_ns=sent_ns, total_ms=total_ms)
        routes.hear(heard, now_ns=heard.received_ns)
    return count * 33 * MS


def test_answered_pictures_teach_how_long_the_next_one_will_take():
    routes = Routes()
    before = routes.forecast("w-1", now_ns=0)
    assert (before.samples, before.p_at(50 * MS)) == (0, before.prior_on_time)
    now_ns = talk(routes)
    forecast = routes.forecast("w-1", now_ns=now_ns)
    assert forecast.samples == 20
    assert forecast.predicted_ns == pytest.approx(20 * MS, abs=3 * MS)
    assert forecast.p_at(40 * MS) > 0.9
    assert forecast.p_at(5 * MS) < 0.2


def test_workers_are_told_apart():
    routes = Routes()
    talk(routes, "w-1", total_ms=20)
    now_ns = talk(routes, "w-2", total_ms=80)
    near, far = (routes.forecast(worker, now_ns=now_ns) for worker in ("w-1", "w-2"))
    assert near.p_at(40 * MS) > 0.9 > 0.2 > far.p_at(40 * MS)
    assert routes.forecast("w-3", now_ns=now_ns).samples == 0


def test_the_next_picture_is_taken_to_be_as_large_as_the_last_one():
    routes = Routes()
    now_ns = talk(routes)
    small = routes.forecast("w-1", now_ns=now_ns)
    routes.picture_left("w-2", 99, payload_bytes=10 * FIRST_BYTES, now_ns=now_ns)
    assert routes.forecast("w-1", now_ns=now_ns).predicted_ns > small.predicted_ns


@pytest.mark.parametrize(
    ("leave", "engine", "way", "fields"),
    [
        ("picture_left", (), Path.OFFLOAD.value, {}),
        (
            "part_left",
            (SimpleNamespace(cut=PART.placement_id),),
            f"split {PART.placement_id}",
            {"wanted": PART},
        ),
        ("ping_left", (), PING, {"task": Task.PING}),
    ],
)
def test_a_reply_ends_the_wait_for_the_request_that_it_answers_and_no_other(leave, engine, way, fields):
    routes = Routes()
    getattr(routes, leave)("w-1", 7, *engine, payload_bytes=9_000, now_ns=0)
    route = routes.of("w-1")
    assert waiting(route) == 1
    routes.hear(reply(7, **fields, run_ms=9), now_ns=20 * MS)
    assert waiting(route) == 0
    assert routes.forecast("w-1", now_ns=20 * MS).samples == 1
    assert route.worker.run_ns(way) == (0 if way == PING else 10 * MS)
    assert set(route.worker._runs_ns) == {way} - {PING}, "only of this way"
    legs = routes.forecast("w-1", now_ns=20 * MS).legs
    assert legs is not None
    assert legs == routes.legs("w-1")
    assert legs.uplink_ns + legs.worker_ns + legs.downlink_ns == 20 * MS
    assert routes.legs("w-2") is None


def test_a_ping_is_no_answer_to_a_picture_of_the_same_number():
    routes = Routes()
    routes.picture_left("w-1", 7, payload_bytes=9_000, now_ns=0)
    routes.ping_left("w-1", 7, payload_bytes=64, now_ns=0)
    routes.hear(reply(7, task=Task.PING), now_ns=20 * MS)
    assert waiting(routes.of("w-1")) == 1
    routes.lose("w-1", 7, now_ns=60 * MS)
    assert waiting(routes.of("w-1")) == 0


@pytest.mark.parametrize("ping", [False, True])
def test_a_missing_reply_counts_against_the_worker_that_was_asked(ping):
    routes = Routes()
    now_ns = talk(routes)
    leave = routes.ping_left if ping else routes.picture_left
    before = routes.forecast("w-1", now_ns=now_ns).p_at(40 * MS)
    leave("w-1", 50, payload_bytes=9_000, now_ns=now_ns)
    routes.lose("w-2", 50, ping=ping, now_ns=now_ns + 60 * MS)
    routes.lose("w-1", 50, ping=not ping, now_ns=now_ns + 60 * MS)
    route = routes.of("w-1")
    assert waiting(route) == 1
    routes.lose("w-1", 50, ping=ping, now_ns=now_ns + 60 * MS)
    assert waiting(route) == 0
    assert route.is_stalled(now_ns=now_ns + 60 * MS)
    assert routes.forecast("w-1", now_ns=now_ns + 60 * MS).p_at(40 * MS) < before


def test_a_refusal_counts_against_the_worker_that_refused_and_names_the_reason():
    routes = Routes()
    talk(routes, "w-2")
    now_ns = talk(routes, "w-1")
    before = {worker: routes.forecast(worker, now_ns=now_ns).p_at(40 * MS) for worker in ("w-1", "w-2")}
    for frame_id in range(50, 60):
        routes.picture_left("w-1", frame_id, payload_bytes=9_000, now_ns=now_ns)
        routes.hear(reply(frame_id, sent_ns=now_ns, refusal="busy"), now_ns=now_ns + 5 * MS)
    assert routes.of("w-1").refusals == {"busy": 10}
    assert waiting(routes.of("w-1")) == 0
    later_ns = now_ns + 5 * MS
    assert routes.forecast("w-1", now_ns=later_ns).p_at(40 * MS) < 0.8 * before["w-1"]
    assert routes.of("w-2").refusals == {}
    assert routes.forecast("w-2", now_ns=later_ns).p_at(40 * MS) == pytest.approx(before["w-2"], abs=0.01)


def test_a_refused_ping_ends_the_wait_for_the_ping_and_not_for_the_picture_of_the_same_number():
    routes = Routes()
    routes.picture_left("w-1", 7, payload_bytes=9_000, now_ns=0)
    routes.ping_left("w-1", 7, payload_bytes=64, now_ns=0)
    routes.hear(reply(7, task=Task.PING, refusal="draining"), now_ns=20 * MS)
    assert waiting(routes.of("w-1")) == 1
    routes.hear(reply(7), now_ns=21 * MS)
    assert waiting(routes.of("w-1")) == 0


def test_a_reply_that_says_nothing_of_its_times_teaches_nothing():
    routes = Routes()
    routes.picture_left("w-1", 7, payload_bytes=9_000, now_ns=0)
    before = routes.forecast("w-1", now_ns=20 * MS)
    routes.hear(reply(7, timing=False), now_ns=20 * MS)
    after = routes.forecast("w-1", now_ns=20 * MS)
    assert (
        (after.samples, after.predicted_ns)
        == (before.samples, before.predicted_ns)
        == (0, before.predicted_ns)
    )


def test_the_65th_worker_pushes_the_oldest_out():
    routes = Routes()
    now_ns = talk(routes, "w-0")
    for number in range(1, WORKERS):
        routes.of(f"w-{number}")
    assert routes.forecast("w-0", now_ns=now_ns).samples == 20
    kept = routes.of("w-1")
    routes.of(f"w-{WORKERS}")
    assert routes.of("w-1") is kept, "a known worker pushes nobody out"
    assert routes.forecast("w-0", now_ns=now_ns).samples == 0
    assert routes.of("w-1") is not kept, "asking for the one pushed out pushed the next one out"


def test_who_answers_for_a_pool_teaches_what_to_expect_of_the_pool():
    routes = Routes()
    for frame_id in range(10):
        sent_ns = frame_id * 33 * MS
        routes.picture_left("any", frame_id, payload_bytes=9_000, now_ns=sent_ns)
        heard = reply(frame_id, worker=f"w-{frame_id % 2}", asked="any", sent_ns=sent_ns)
        routes.hear(heard, now_ns=heard.received_ns)
    pool = routes.forecast("any", now_ns=330 * MS)
    assert (pool.samples, routes.forecast("w-0", now_ns=330 * MS).samples) == (10, 0)
    assert pool.p_at(40 * MS) > 0.8
