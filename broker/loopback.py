"""A broker inside this process, for tests and for rooms without a network.

Shell without sockets: everything happens on the reactor's thread, as it does with a
real broker, and the same contract tests run on both. It keeps retained messages,
wills, wildcards, shared subscriptions and session numbers; it persists nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from broker.loopback_road import LoopbackRoad
from broker.reactor import Reactor
from broker.road import Birth, Delivery, Message, Traffic
from broker.router import matches

_MAX_PAYLOAD_BYTES = 8 << 20


class LoopbackBroker:
    """The broker; ask it for roads."""

    def __init__(self, *, reactor: Reactor) -> None:
        self.reactor = reactor
        self.running = True
        self._retained: dict[str, Message] = {}
        self._online: dict[str, LoopbackRoad] = {}
        self._known: list[LoopbackRoad] = []
        self._turns: Iterator[int] = itertools.count()

    def road(
        self,
        client_id: str,
        *,
        traffic: Traffic = Traffic.CONTROL,
        birth: Birth | None = None,
        max_payload_bytes: int = _MAX_PAYLOAD_BYTES,
    ) -> LoopbackRoad:
        """Open a road; it comes back by itself after `stop` and `start`."""
        road = LoopbackRoad(
            self, client_id, traffic=traffic, birth=birth, max_payload_bytes=max_payload_bytes
        )
        self.reactor.call_soon(lambda: self._known.append(road))
        self.reactor.call_soon(road.connect)
        return road

    def stop(self) -> None:
        """Crash: every road is dead until `start`; retained messages stay, wills are not sent."""
        self.reactor.call_soon(self._stop)

    def start(self) -> None:
        """Come back."""
        self.reactor.call_soon(self._start)

    def cut(self, client_id: str) -> None:
        """Lose one client: its will is sent, and its road connects again."""
        self.reactor.call_soon(lambda: self._cut(client_id, returning=True))

    def vanish(self, client_id: str) -> None:
        """Leave one client half open: it is gone, and its will comes when somebody takes its name over."""
        self.reactor.call_soon(lambda: self._silence(client_id))

    def _silence(self, client_id: str) -> None:
        self._online[client_id].go_silent()

    def _stop(self) -> None:
        self.running = False
        for road in list(self._online.values()):
            road.lost()
        self._online.clear()

    def _start(self) -> None:
        self.running = True
        for road in self._known:
            self.reactor.call_soon(road.connect)

    def _cut(self, client_id: str, *, returning: bool) -> None:
        road = self._online.pop(client_id, None)
        if road is None:
            return
        will = road.will
        road.lost()
        if will is not None:
            self.route(will)
        if returning:
            self.reactor.call_soon(road.connect)

    def admit(self, road: LoopbackRoad) -> None:
        """Connect a road; an older one with the same name is sent away."""
        self._cut(road.client_id, returning=False)
        self._online[road.client_id] = road

    def forget(self, road: LoopbackRoad) -> None:
        """A road left cleanly: no will."""
        if self._online.get(road.client_id) is road:
            del self._online[road.client_id]

    def route(self, message: Message) -> None:
        """Keep what is retained and pass the message to everybody who asked for it."""
        if message.retain:
            if message.payload:
                self._retained[message.topic] = message
            else:
                self._retained.pop(message.topic, None)
        groups: dict[str, list[LoopbackRoad]] = {}
        for road in tuple(self._online.values()):
            wanting = [f for f in road.filters if matches(f, message.topic)]
            for shared in (f for f in wanting if f.startswith("$share/")):
                groups.setdefault(shared, []).append(road)
            if any(not f.startswith("$share/") for f in wanting):
                self._hand(road, message, retained=False)
        for roads in groups.values():
            self._hand(roads[next(self._turns) % len(roads)], message, retained=False)

    def send_retained(self, road: LoopbackRoad, topic_filter: str) -> None:
        """Answer a new subscription; shared ones get nothing retained (MQTT 5 section 4.8.2)."""
        if topic_filter.startswith("$share/"):
            return
        for message in tuple(self._retained.values()):
            if matches(topic_filter, message.topic):
                self._hand(road, message, retained=True)

    def _hand(self, road: LoopbackRoad, message: Message, *, retained: bool) -> None:
        delivery = Delivery(
            topic=message.topic,
            payload=message.payload,
            qos=message.qos,
            retain=retained,
            received_ns=self.reactor.now_ns,
        )
        self.reactor.call_soon(lambda: road.receive(delivery))
