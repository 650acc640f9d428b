"""A worker that said goodbye stays gone: no reconnect and no resync calls it online again."""

import threading
from collections.abc import Callable, Iterator

import pytest

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor
from broker.road import RoadState, Traffic
from cloud_worker.presence import Presence
from schemas.documents import Resync, WorkerPresence, canonical_bytes, parse_document
from schemas.topics import topic
from tests.cloud_worker.builders import frame
from tests.cloud_worker.conftest import SITE, Headset, serve, until, who


class Draining:
    """An executor without work; ``meanwhile`` happens while it drains."""

    queued = running = 0

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.is_drained = threading.Event()
        self.offered: list[str] = []

    def offer(self, request) -> None:
        self.offered.append(request.device)

    def drain(self, *, timeout_s: float) -> bool:
        assert timeout_s > 0
        self.meanwhile()
        self.is_drained.set()
        return True


class Leaver:
    """A worker on a loopback broker, its resync timers, and what a newcomer reads about it."""

    def __init__(self, reactor: Reactor) -> None:
        self.broker = LoopbackBroker(reactor=reactor)
        self.presence = Presence(who(), wall_ms=lambda: 1)
        self.control = self.broker.road("w-control", birth=self.presence.birth)
        self.executor = Draining()
        self.timers: list[Callable[[], None]] = []
        self.seen: list[WorkerPresence] = []
        self.watcher = self.broker.road("watcher")
        self.watcher.subscribe(topic("worker-presence", site=SITE, worker="w-1"), self._see)
        self.service, _ = serve(
            self.control,
            self.broker.road("w-data", traffic=Traffic.DATA),
            make_executor=lambda _replier: self.executor,
            presence=self.presence,
            later=lambda _delay_s, call: self.timers.append(call),
        )
        until(lambda: self.seen and self.seen[-1].online, what="the birth")

    def _see(self, delivery) -> None:
        self.seen.append(parse_document(WorkerPresence, delivery.payload))

    def resync(self) -> None:
        before = len(self.timers)
        order = canonical_bytes(Resync(epoch=1, jitter_ms=1))
        self.watcher.publish(topic("resync", site=SITE), order, qos=1)
        until(lambda: len(self.timers) > before, what="the timer of the resync")

    def reconnect(self) -> None:
        session = self.presence.session
        self.broker.cut("w-control")
        until(lambda: self.seen[-1].session > session, what="the birth of the next connection")

    def leave(self) -> WorkerPresence:
        """What stays retained after a leave."""
        assert self.service.leave(timeout_s=5)
        until(lambda: self.control.state is RoadState.CLOSED, what="the end of the road")
        kept: list[WorkerPresence] = []
        self.broker.road("newcomer").subscribe(
            topic("worker-presence", site=SITE, worker="w-1"),
            lambda delivery: kept.append(parse_document(WorkerPresence, delivery.payload)),
        )
        until(lambda: kept, what="the retained presence")
        return kept[-1]


@pytest.fixture
def leaver() -> Iterator[Leaver]:
    with Reactor() as reactor:
        yield Leaver(reactor)


def test_a_connection_that_comes_back_during_the_drain_is_born_offline(leaver):
    leaver.executor.meanwhile = leaver.reconnect
    kept = leaver.leave()
    assert (kept.online, kept.session) == (False, 2)
    assert [said.online for said in leaver.seen if said.session == 2] == [False]  # its birth


def test_a_resync_before_the_leave_changes_nothing_when_its_timer_ends_during_the_drain(leaver):
    leaver.resync()
    leaver.executor.meanwhile = leaver.timers.pop()
    assert not leaver.leave().online
    assert [said.online for said in leaver.seen] == [True, False]


def test_a_resync_during_the_drain_is_not_answered_with_online(leaver):
    def resync_now() -> None:
        leaver.resync()
        leaver.timers.pop()()

    leaver.executor.meanwhile = resync_now
    assert not leaver.leave().online
    assert [said.online for said in leaver.seen] == [True, False]


def test_a_resync_is_answered_while_the_worker_stays(leaver):
    leaver.resync()
    leaver.timers.pop()()
    until(lambda: len(leaver.seen) == 2, what="the answer")
    assert leaver.seen[-1].online


def test_a_request_that_crosses_the_goodbye_still_reaches_who_refuses_it(leaver):
    road = leaver.broker.road("h-1", traffic=Traffic.DATA)
    headset = Headset(road)
    until(lambda: road.state is RoadState.READY, what="the headset's road")
    leaving = threading.Thread(target=lambda: leaver.service.leave(timeout_s=5, linger_s=1.0))
    leaving.start()
    assert leaver.executor.is_drained.wait(5)
    headset.send(frame())
    leaving.join(10)
    assert leaver.executor.offered == ["h-1"]
