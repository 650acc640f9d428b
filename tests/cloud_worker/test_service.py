"""The worker's promise over a road: exactly one reply per request, whatever comes."""

import random
import threading
import time
from collections import Counter

import numpy as np
import pytest

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from cloud_worker.answerers import NullAnswerer
from cloud_worker.errors import CannotAnswerError, WorkerConfigError
from cloud_worker.execute import Inline
from cloud_worker.images import decode_image
from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.request import Answer
from cloud_worker.slots import Slots
from schemas.codec import Encoder
from schemas.documents import Load, Resync, WorkerPresence, canonical_bytes, parse_document
from schemas.messages import HandResult, Ping, Refusal, RefusalReason, Result, RoiBox, Task
from schemas.topics import topic, topic_filter
from tests.cloud_worker.builders import BOOT, frame, header, jpeg
from tests.cloud_worker.conftest import SITE, Headset, serve, until

LONG_US = 20_000_000
CONFIG = IntakeConfig(
    offers={Task.HANDS: Offer(models=frozenset({b"\x07" * 32}))}, depth=2, max_pixels=64 * 48
)


class Gated:
    """Decodes like the real tasks, then waits until the test opens the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.closed = False

    def answer(self, request, /) -> Answer:
        decode_image(request.message, max_pixels=CONFIG.max_pixels)
        self.entered.release()
        assert self.gate.wait(20)
        if request.message.quality == 1:
            raise ZeroDivisionError("a bug in a task")
        if request.message.quality == 2:
            bad = HandResult(
                landmarks=np.zeros((2, 3), np.float32),
                presence=1.0,
                handedness=0.5,
                roi=RoiBox(center_x=0, center_y=0, width=1, height=1, rotation_rad=0),
            )
            return Answer(hands=(bad,))
        return Answer(run_ns=1000)

    def close(self) -> None:
        self.closed = True


class Bench:
    """One loopback broker with one worker and any number of headsets."""

    def __init__(self, reactor: Reactor, *, answerer=None) -> None:
        self.broker = LoopbackBroker(reactor=reactor)
        self.answerer = answerer or Gated()
        self.control = self.broker.road("w-control")
        self.data = self.broker.road("w-data", traffic=Traffic.DATA)
        self.slots: Slots | None = None
        self.headsets: list[Headset] = []
        self.service, self.tally = serve(self.control, self.data, make_executor=self._slots)
        until(lambda: self.data.state is RoadState.READY, what="the worker's road")

    def _slots(self, replier) -> Slots:
        self.slots = Slots(
            Intake(CONFIG),
            count=1,
            make_answerers=lambda: {Task.HANDS: self.answerer},
            finish=replier.finish,
            clock_ns=time.monotonic_ns,
        )
        self.slots.start()
        return self.slots

    def headset(self, device: str = "h-1") -> Headset:
        road = self.broker.road(f"d-{device}", traffic=Traffic.DATA)
        headset = Headset(road, device=device)
        until(
            lambda: road.state is RoadState.READY, what="the headset's road"
        )  # before, newest wins per topic
        self.headsets.append(headset)
        return headset

    def sent_to_worker(self) -> int:
        """Messages that the headsets handed to the broker."""
        return sum(headset.sent for headset in self.headsets)

    def occupy(self) -> Headset:
        """A headset whose frame runs until the gate opens."""
        occupant = self.headset("occupant")
        while self.answerer.entered.acquire(blocking=False):
            pass  # frames before this one came in too: only its own entry says that it runs
        occupant.send(frame(budget_us=LONG_US))
        assert self.answerer.entered.acquire(timeout=20)
        return occupant


@pytest.fixture
def bench():
    with Reactor() as reactor:
        bench = Bench(reactor)
        yield bench
        bench.answerer.gate.set()
        bench.slots.stop()


def sane(**head: object):
    return frame(budget_us=LONG_US, **head)


def settle(bench: Bench) -> None:
    """Wait until nothing that was sent is still on its way or in line."""

    def quiet() -> bool:
        counts = bench.tally.snapshot()
        accounted = counts.answered + counts.pings + counts.repeats + sum(counts.refused.values())
        return counts.received == bench.sent_to_worker() == accounted

    until(quiet, what="an account of every message")


def test_every_reason_for_a_refusal_occurs_and_echoes_its_request(bench):
    bench.answerer.gate.set()
    headset = bench.headset()
    headset.send_bytes(b"no message at all")
    headset.send(sane(frame_id=1, task=Task.DETECT))
    headset.send(sane(frame_id=2, model_digest=b"\x01" * 32))
    headset.send(sane(frame_id=3, placement_id=4))
    headset.send(sane(frame_id=4, width=65))
    headset.send(frame(frame_id=5, budget_us=0))
    headset.await_replies(6)
    headset.ask(sane(frame_id=6, payload=b"not a picture"))
    broken = frame(frame_id=7, budget_us=LONG_US)
    object.__setattr__(broken, "quality", 1)
    headset.ask(broken)
    bench.answerer.gate.clear()
    occupant = bench.occupy()
    headset.send(sane(frame_id=8))
    headset.send(sane(frame_id=9))  # takes the place of 8
    headset.await_replies(9)
    threading.Thread(
        target=bench.service.leave, kwargs={"timeout_s": 20}
    ).start()  # 9 is refused, the other ends
    headset.await_replies(10)
    bench.answerer.gate.set()
    assert isinstance(occupant.await_replies(1)[0], Result)

    reasons = {reply.header.frame_id: reply.reason for reply in headset.replies}
    assert reasons == {
        0: RefusalReason.MALFORMED,
        1: RefusalReason.UNSUPPORTED_TASK,
        2: RefusalReason.UNKNOWN_MODEL,
        3: RefusalReason.UNKNOWN_PLACEMENT,
        4: RefusalReason.TOO_LARGE,
        5: RefusalReason.EXPIRED,
        6: RefusalReason.UNDECODABLE,
        7: RefusalReason.INTERNAL,
        8: RefusalReason.BUSY,
        9: RefusalReason.DRAINING,
    }
    assert set(reasons.values()) == set(RefusalReason)
    for reply in headset.replies[1:]:
        assert reply.detail
        assert (reply.header.boot_id, reply.header.capture_ns) == (BOOT, 123)
        assert reply.header.trace_id == bytes(range(16, 32))
        assert reply.header.send_ns >= reply.timing.received_ns > 0
    assert bench.tally.snapshot().refused == {reason.name.lower(): 1 for reason in RefusalReason}


def test_a_second_copy_of_a_request_gets_no_second_reply(bench):
    bench.answerer.gate.set()
    headset = bench.headset()
    for _ in range(3):
        headset.send(sane(frame_id=1))
    headset.send(sane(frame_id=2))
    headset.await_replies(2)
    settle(bench)
    assert [reply.header.frame_id for reply in headset.replies] == [1, 2]
    assert bench.tally.snapshot().repeats == 2


def test_under_overload_each_frame_of_each_headset_is_answered_once(bench):
    bench.answerer.gate.set()
    headsets = [bench.headset(f"h-{n}") for n in range(4)]
    for frame_id in range(1, 41):
        for headset in headsets:
            headset.send(sane(frame_id=frame_id))
        if (
            frame_id % 8 == 0
        ):  # a road holds 64 messages and drops the oldest: that is not what is tested here
            for headset in headsets:
                headset.await_replies(frame_id)
    for headset in headsets:
        assert sorted(reply.header.frame_id for reply in headset.replies) == list(range(1, 41))
        assert any(isinstance(reply, Result) for reply in headset.replies)
    counts = bench.tally.snapshot()
    assert counts.answered + counts.refused.get("busy", 0) == 160


def test_mutilated_frames_are_all_accounted_for_and_the_worker_lives_on(bench):
    bench.answerer.gate.set()
    headset, rng, encoder = bench.headset(), random.Random(5), Encoder()
    sent = 400
    for number in range(sent):
        data = bytearray(encoder.encode(sane(frame_id=number)))
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        headset.send_bytes(bytes(data[: rng.randint(0, len(data))] if number % 4 == 0 else data))
        if number % 32 == 0:
            settle(bench)
    settle(bench)
    headset.await_replies(sent - bench.tally.snapshot().repeats)
    # another process: a mutilated send time may have made every later frame of the first one look old
    assert isinstance(headset.ask(sane(frame_id=1, boot_id=b"n" * 16)), Result)
    counts = bench.tally.snapshot()
    assert counts.received == sent + 1
    assert len(headset.replies) == sent + 1 - counts.repeats
    assert counts.refused["malformed"] == sum(counts.malformed.values()) > 0.9 * sent


def test_a_header_that_disagrees_with_its_topic_is_malformed(bench):
    reply = bench.headset().ask(sane(frame_id=1), task="text")
    assert isinstance(reply, Refusal)
    assert reply.reason is RefusalReason.MALFORMED
    assert bench.tally.snapshot().malformed == {"wrong_sender": 1}


def test_a_ping_is_answered_while_every_slot_is_busy(bench):
    bench.occupy()
    pong = bench.headset().ask(Ping(header=header(task=Task.PING, frame_id=44)))
    assert isinstance(pong, Result)
    assert pong.header.frame_id == 44


def test_a_frame_that_was_delayed_on_the_way_is_refused_as_expired(bench):
    bench.answerer.gate.set()
    headset = bench.headset()
    now_ns = time.monotonic_ns()
    assert isinstance(headset.ask(frame(frame_id=1, send_ns=now_ns, budget_us=LONG_US)), Result)
    late = headset.ask(frame(frame_id=2, send_ns=now_ns - 5_000_000_000, budget_us=100_000))
    assert late.reason is RefusalReason.EXPIRED
    # the same wait is no delay for a process whose clock simply stands elsewhere
    fresh = headset.ask(
        frame(frame_id=2, send_ns=now_ns - 5_000_000_000, budget_us=LONG_US, boot_id=b"n" * 16)
    )
    assert isinstance(fresh, Result)


def test_a_retained_frame_is_dropped_and_counted():
    with Reactor() as reactor:
        broker = LoopbackBroker(reactor=reactor)
        early = Headset(broker.road("d-h-1"))
        early.send_bytes(Encoder().encode(sane()), retain=True)
        data = broker.road("w-data", traffic=Traffic.DATA)
        null = {Task.HANDS: NullAnswerer(reply_bytes=0)}
        _, tally = serve(
            broker.road("w-control"),
            data,
            make_executor=lambda replier: Inline(
                Intake(CONFIG), answerers=null, finish=replier.finish, clock_ns=time.monotonic_ns
            ),
        )
        until(lambda: tally.snapshot().received, what="the retained frame's delivery")
        assert isinstance(early.ask(sane(frame_id=2)), Result)
    counts = tally.snapshot()
    assert counts.dropped_retained >= 1
    assert (counts.answered, len(early.replies)) == (1, 1)


def test_a_pool_of_two_workers_answers_each_request_once_and_says_who_did():
    with Reactor() as reactor:
        broker = LoopbackBroker(reactor=reactor)
        null = {Task.HANDS: NullAnswerer(reply_bytes=0)}
        tallies = []
        for name in ("w-1", "w-2"):
            data = broker.road(f"{name}-data", traffic=Traffic.DATA)
            _, tally = serve(
                broker.road(f"{name}-control"),
                data,
                worker=name,
                make_executor=lambda replier: Inline(
                    Intake(CONFIG), answerers=null, finish=replier.finish, clock_ns=time.monotonic_ns
                ),
            )
            tallies.append(tally)
        road = broker.road("d-h-1", traffic=Traffic.DATA)
        headset, senders = Headset(road), []
        road.subscribe(topic_filter("result", site=SITE, device="h-1"), lambda d: senders.append(d.topic))
        until(lambda: road.state is RoadState.READY, what="the headset's road")
        for frame_id in range(10):
            assert isinstance(headset.ask(sane(frame_id=frame_id), worker="any"), Result)
    assert sorted(reply.header.frame_id for reply in headset.replies) == list(range(10))
    assert [tally.snapshot().answered for tally in tallies] == [5, 5]
    assert {sender.split("/")[6] for sender in senders} == {"w-1", "w-2"}


def test_leaving_finishes_who_runs_refuses_who_waits_and_says_goodbye(bench):
    occupant, waiting = bench.occupy(), bench.headset("h-2")
    seen: list[WorkerPresence] = []
    watcher = bench.broker.road("watcher")
    watcher.subscribe(
        topic("worker-presence", site=SITE, worker="w-1"),
        lambda delivery: seen.append(parse_document(WorkerPresence, delivery.payload)),
    )
    waiting.send(sane())
    until(lambda: bench.slots.queued, what="the second frame in line")
    left: list[bool] = []
    leaving = threading.Thread(target=lambda: left.append(bench.service.leave(timeout_s=20)))
    leaving.start()
    assert waiting.await_replies(1)[0].reason is RefusalReason.DRAINING
    assert waiting.ask(sane(frame_id=2)).reason is RefusalReason.DRAINING
    bench.answerer.gate.set()
    assert isinstance(occupant.await_replies(1)[0], Result)
    leaving.join(20)
    assert left == [True]
    assert seen
    assert not seen[-1].online
    assert bench.answerer.closed


def test_an_answer_that_does_not_fit_the_wire_becomes_a_refusal(bench):
    bench.answerer.gate.set()
    odd = sane()
    object.__setattr__(odd, "quality", 2)
    reply = bench.headset().ask(odd)
    assert isinstance(reply, Refusal)
    assert reply.reason is RefusalReason.INTERNAL


def test_load_is_said_and_presence_again_on_resync(bench):
    watcher, loads, presences = bench.broker.road("watcher"), [], []
    watcher.subscribe(
        topic("worker-load", site=SITE, worker="w-1"), lambda d: loads.append(parse_document(Load, d.payload))
    )
    watcher.subscribe(
        topic("worker-presence", site=SITE, worker="w-1"),
        lambda d: presences.append(parse_document(WorkerPresence, d.payload)),
    )
    until(lambda: watcher.state is RoadState.READY, what="the watcher's road")
    bench.occupy()
    bench.service.beat()
    until(lambda: loads, what="the load")
    assert (loads[0].running, loads[0].queued) == (1, 0)
    watcher.publish(topic("resync", site=SITE), b"{}")
    watcher.publish(topic("resync", site=SITE), canonical_bytes(Resync(epoch=1, jitter_ms=20)))
    until(lambda: presences, what="the presence")
    assert presences[0].online


def test_every_message_is_accounted_for(bench):
    bench.answerer.gate.set()
    headset = bench.headset()
    headset.send(Ping(header=header(task=Task.PING)))
    headset.send_bytes(b"?")
    headset.send(sane(frame_id=1))
    headset.send(sane(frame_id=1))
    headset.send(sane(frame_id=2, payload=jpeg(8, 8)))
    headset.await_replies(4)
    settle(bench)
    counts = bench.tally.snapshot()
    parts = Counter(pings=counts.pings, answered=counts.answered, repeats=counts.repeats)
    assert counts.received == parts.total() + sum(counts.refused.values()) == 5


def test_a_slot_whose_models_do_not_load_says_so_at_the_start():
    def fail():
        raise CannotAnswerError(RefusalReason.INTERNAL, "no model")

    slots = Slots(
        Intake(CONFIG), count=2, make_answerers=fail, finish=lambda _: None, clock_ns=time.monotonic_ns
    )
    with pytest.raises(CannotAnswerError, match="no model"):
        slots.start()


def test_a_slot_whose_models_take_too_long_says_so_and_ends_once_they_are_there():
    loading, answerer = threading.Event(), Gated()

    def load_slowly():
        assert loading.wait(20)
        return {Task.HANDS: answerer}

    slots = Slots(
        Intake(CONFIG), count=1, make_answerers=load_slowly, finish=lambda _: None, clock_ns=time.monotonic_ns
    )
    with pytest.raises(WorkerConfigError, match="did not load within"):
        slots.start(timeout_s=0.01)
    loading.set()
    until(lambda: answerer.closed, what="the end of the slot")
