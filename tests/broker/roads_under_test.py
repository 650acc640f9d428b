"""What contract tests hold on to: inboxes, states, and one harness per kind of broker."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from broker.loopback import LoopbackBroker
from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import Birth, Delivery, Message, Road, RoadState, Traffic, Will
from broker.session import Session
from broker.session_config import MS, SessionConfig

PATIENCE_S = 10.0


def wait_for(condition: Callable[[], bool], *, within_s: float = PATIENCE_S, what: str = "") -> None:
    """Poll until ``condition`` holds; fail after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(0.005)


class Inbox:
    """Collects deliveries from the reactor's thread."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def payloads(self) -> list[bytes]:
        return [bytes(delivery.payload) for delivery in self.deliveries]

    def wait(self, count: int, *, within_s: float = PATIENCE_S) -> list[bytes]:
        wait_for(lambda: len(self.deliveries) >= count, within_s=within_s, what=f"{count} deliveries")
        return self.payloads


class States:
    """Collects a road's states with the time of each."""

    def __init__(self, road: Road) -> None:
        self.seen: list[tuple[float, RoadState]] = []
        road.on_state(lambda state: self.seen.append((time.monotonic(), state)))

    @property
    def words(self) -> list[RoadState]:
        return [state for _at, state in self.seen]


class Harness(Protocol):
    """What a contract test may do to a broker."""

    name: str

    def road(
        self,
        client_id: str,
        *,
        traffic: Traffic = Traffic.CONTROL,
        birth: Birth | None = None,
        max_payload_bytes: int = 1 << 20,
    ) -> Road: ...

    def crash(self) -> None: ...

    def revive(self) -> None: ...

    def cut(self, client_id: str) -> None: ...


def ready(*roads: Road) -> None:
    for road in roads:
        wait_for(lambda road=road: road.state is RoadState.READY, what="ready")


def births_of(topic: str) -> Birth:
    """Presence as every node keeps it: the session number in will and birth."""

    def birth(session: int) -> tuple[Will, list[Message]]:
        online = Message(topic=topic, payload=b"online %d" % session, qos=1, retain=True)
        return Will(topic=topic, payload=b"offline %d" % session), [online]

    return birth


class LoopbackHarness:
    def __init__(self, reactor: Reactor) -> None:
        self.name = "loopback"
        self.broker = LoopbackBroker(reactor=reactor)
        self.roads: list[Road] = []

    def road(self, client_id, *, traffic=Traffic.CONTROL, birth=None, max_payload_bytes=1 << 20):
        road = self.broker.road(client_id, traffic=traffic, birth=birth, max_payload_bytes=max_payload_bytes)
        self.roads.append(road)
        return road

    def crash(self) -> None:
        self.broker.stop()
        wait_for(lambda: all(road.state is RoadState.DEAD for road in self.roads))

    def revive(self) -> None:
        self.broker.start()

    def cut(self, client_id: str) -> None:
        self.broker.cut(client_id)

    def close(self) -> None:
        for road in self.roads:
            road.close()


class SessionHarness:
    """Real sessions over a real Mosquitto."""

    def __init__(self, reactor: Reactor, broker: EmbeddedMosquitto, protocol: int, scratch: Path) -> None:
        self.name = f"mqtt{protocol}"
        self.reactor = reactor
        self.broker = broker
        self.protocol = protocol
        self.scratch = scratch
        self.roads: dict[str, Session] = {}

    def road(self, client_id, *, traffic=Traffic.CONTROL, birth=None, max_payload_bytes=1 << 20, url=None):
        config = SessionConfig(
            url=url or self.broker.url,
            client_id=client_id,
            echo_topic=f"echo/{client_id}/{traffic.value}",
            traffic=traffic,
            protocol=self.protocol,
            max_payload_bytes=max_payload_bytes,
            backoff_floor_ns=50 * MS,
            backoff_cap_ns=500 * MS,
        )
        counter = self.scratch / f"{client_id}.session"
        road = Session(config, reactor=self.reactor, birth=birth, session_counter=counter)
        self.roads[client_id] = road
        return road

    def crash(self) -> None:
        self.broker.stop()
        wait_for(lambda: all(road.state is RoadState.DEAD for road in self.roads.values()))

    def revive(self) -> None:
        old = self.broker
        self.broker = EmbeddedMosquitto(old._binary, old._directory, port=old.port)
        self.broker.start()

    def cut(self, client_id: str) -> None:
        lifeline = self.roads[client_id]._lifeline
        self.reactor.call_soon(lambda: lifeline.connection.abandon("cut by the test"))

    def close(self) -> None:
        for road in self.roads.values():
            road.close(timeout_s=0.5)
        self.broker.stop()
