"""A worker and a headset on the two ends of a road."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import Delivery, Road, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from cloud_worker.desk import Desk
from cloud_worker.execute import Executor
from cloud_worker.presence import Identity, Presence
from cloud_worker.replier import Replier
from cloud_worker.service import Later, Service
from cloud_worker.tally import Tally
from observability.metrics import Registry
from schemas.codec import Encoder, decode
from schemas.messages import DataMessage, Refusal, Result
from schemas.topics import topic, topic_filter

SITE = "lab"
BUDGET_S = 20.0


def until(happened: Callable[[], object], *, what: str, budget_s: float = BUDGET_S) -> None:
    """Poll, because the other end answers on its own threads."""
    deadline_s = time.monotonic() + budget_s
    while not happened():
        if time.monotonic() > deadline_s:
            pytest.fail(f"{what} did not happen within {budget_s:.0f} s")
        time.sleep(0.002)


class Headset:
    """Sends requests and keeps every reply in order of arrival."""

    def __init__(self, road: Road, *, device: str = "h-1") -> None:
        self.device = device
        self.replies: list[Result | Refusal] = []
        self.sent = 0
        self._road = road
        self._encoder = Encoder()
        road.subscribe(topic_filter("result", site=SITE, device=device), self._hear)

    def _hear(self, delivery: Delivery) -> None:
        message = decode(bytes(delivery.payload), stream="result")
        assert isinstance(message, (Result, Refusal))
        self.replies.append(message)

    def send(self, message: DataMessage, *, worker: str = "w-1", task: str | None = None) -> None:
        self.send_bytes(
            self._encoder.encode(message), worker=worker, task=task or message.header.task.name.lower()
        )

    def send_bytes(
        self, payload: bytes, *, worker: str = "w-1", task: str = "hands", retain: bool = False
    ) -> None:
        address = topic("infer", site=SITE, device=self.device, worker=worker, task=task)
        assert self._road.publish(address, payload, retain=retain)
        self.sent += 1

    def await_replies(self, count: int) -> list[Result | Refusal]:
        until(lambda: len(self.replies) >= count, what=f"{count} replies, have {len(self.replies)}")
        return self.replies

    def ask(self, message: DataMessage, **how: str) -> Result | Refusal:
        before = len(self.replies)
        self.send(message, **how)
        return self.await_replies(before + 1)[before]


def who(worker: str = "w-1", *, tasks: tuple[str, ...] = ("hands",)) -> Identity:
    return Identity(site=SITE, worker=worker, boot_id=bytes(16), software="0", tasks=tasks)


def serve(
    control: Road,
    data: Road,
    *,
    make_executor: Callable[[Replier], Executor],
    tasks: tuple[str, ...] = ("hands",),
    worker: str = "w-1",
    presence: Presence | None = None,
    later: Later = lambda delay_s, call: threading.Timer(delay_s, call).start(),
) -> tuple[Service, Tally]:
    """A worker's service over two roads."""
    tally = Tally(Registry())
    identity = who(worker, tasks=tasks)
    replier = Replier(
        data, site=SITE, worker=worker, tally=tally, clock_ns=time.monotonic_ns, new_span=lambda: b"spanspan"
    )
    executor = make_executor(replier)
    service = Service(
        identity=identity,
        control=control,
        data=data,
        desk=Desk(
            replier=replier,
            executor=executor,
            tally=tally,
            clock_ns=time.monotonic_ns,
            soon=lambda call: call(),
        ),
        executor=executor,
        presence=presence or Presence(identity, wall_ms=lambda: 1),
        tally=tally,
        later=later,
        rng=random.Random(1),
    )
    service.open()
    return service, tally


@pytest.fixture(scope="module")
def mosquitto(
    mosquitto_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedMosquitto]:
    with EmbeddedMosquitto(mosquitto_binary, tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@contextmanager
def headset_on(url: str, *, device: str = "h-1", traffic: Traffic = Traffic.DATA) -> Iterator[Headset]:
    with Reactor(name=device) as reactor:
        road = Session(
            SessionConfig(
                url=url,
                client_id=f"d-{device}-{traffic.value}",
                echo_topic=topic("device-echo", site=SITE, device=device, traffic=traffic.value),
                traffic=traffic,
            ),
            reactor=reactor,
        )
        try:
            headset = Headset(road, device=device)
            until(lambda: road.state is RoadState.READY, what="the headset's road")
            yield headset
        finally:
            road.close()
