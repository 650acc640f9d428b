"""One road on the in-process broker.

Shell without sockets, on the reactor's thread. It keeps the same promises as a
session: bounded queues, births with session numbers, and states.
"""

from __future__ import annotations

import itertools
from typing import Protocol

from broker.errors import RoadMisuse
from broker.outbox import Outbox, OutboxLimits
from broker.presence import OwnPresence
from broker.reactor import Reactor
from broker.road import (
    Birth,
    Delivery,
    EchoRtt,
    Handler,
    Message,
    RoadCounters,
    RoadState,
    StateHandler,
    Traffic,
)
from broker.router import Router, check_filter, check_topic
from broker.standing import Standing

_QUEUE_MESSAGES = {Traffic.CONTROL: 4096, Traffic.DATA: 64}
_QUEUE_BYTES = 32 << 20
_DATA_BUDGET_NS = 1_000_000_000
_REBIRTH_EVERY_NS = 1_000_000_000


class Hub(Protocol):
    """What a road needs of its broker."""

    reactor: Reactor
    running: bool

    def admit(self, road: LoopbackRoad) -> None:
        """Connect a road."""

    def forget(self, road: LoopbackRoad) -> None:
        """Let a road go without its will."""

    def route(self, message: Message) -> None:
        """Pass a message on."""

    def send_retained(self, road: LoopbackRoad, topic_filter: str) -> None:
        """Answer a new subscription."""


class LoopbackRoad:
    """A `Road` on a `LoopbackBroker`."""

    def __init__(
        self,
        broker: Hub,
        client_id: str,
        *,
        traffic: Traffic,
        birth: Birth | None,
        max_payload_bytes: int,
    ) -> None:
        self.client_id = client_id
        self._broker = broker
        self._reactor = broker.reactor
        self._birth = birth
        self._max_payload_bytes = max_payload_bytes
        self._counters = RoadCounters()
        limits = OutboxLimits(
            traffic=traffic,
            messages=_QUEUE_MESSAGES[traffic],
            queue_bytes=_QUEUE_BYTES,
            default_budget_ns=_DATA_BUDGET_NS if traffic is Traffic.DATA else None,
        )
        self._outbox = Outbox(limits, counters=self._counters)
        self._router = Router(counters=self._counters)
        self._standing = Standing(client_id, counters=self._counters)
        self._numbers = itertools.count(1)
        self._presence: OwnPresence | None = None
        self._connected = False
        self._silent = False
        self._closing = False
        self._rtt_ns: int | None = None
        self._reborn_ns = -_REBIRTH_EVERY_NS
        self._correction_waits = False

    @property
    def state(self) -> RoadState:
        """How far the road can be trusted right now."""
        return self._standing.state

    @property
    def counters(self) -> RoadCounters:
        """What happened so far."""
        return self._counters

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that wait to be sent."""
        return self._outbox.queued_bytes

    @property
    def echo_rtt_ns(self) -> EchoRtt:
        """One turn of the reactor, which is what a round trip costs here."""
        return EchoRtt(last_ns=self._rtt_ns, p99_ns=self._rtt_ns)

    @property
    def filters(self) -> list[str]:
        """What this road is subscribed to, by the broker's book."""
        own = [self._presence.will.topic] if self._presence else []
        return [*own, *(topic_filter for topic_filter, _qos in self._router.filters())]

    @property
    def will(self) -> Message | None:
        """What the broker says when this road is lost."""
        if self._presence is None:
            return None
        will = self._presence.will
        return Message(topic=will.topic, payload=will.payload, qos=will.qos, retain=will.retain)

    def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview,
        *,
        qos: int = 0,
        retain: bool = False,
        budget_ns: int | None = None,
    ) -> bool:
        """Queue one publication; see `Road.publish`."""
        check_topic(topic)
        if qos not in (0, 1):
            raise RoadMisuse(f"QoS {qos} is not used here: choose 0 or 1")
        if self._closing:
            self._outbox.count_closed()
            return False
        message = Message(topic=topic, payload=bytes(payload), qos=qos, retain=retain)
        if len(message.payload) > self._max_payload_bytes:
            self._outbox.count_oversize()
            return False
        if not self._outbox.put(message, now_ns=self._reactor.now_ns, budget_ns=budget_ns):
            return False
        self._reactor.call_soon(self._pump)
        return True

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 0) -> None:
        """Call `handler` for every match; see `Road.subscribe`."""
        check_filter(topic_filter)

        def ask() -> None:
            self._router.add(topic_filter, handler, qos=qos)
            if self._connected:
                self._broker.send_retained(self, topic_filter)

        self._reactor.call_soon(ask)

    def on_state(self, handler: StateHandler) -> None:
        """Call `handler` with the present state, then at every change."""
        self._reactor.call_soon(lambda: self._standing.tell(handler))

    def close(self, *, timeout_s: float = 2.0) -> None:  # noqa: ARG002  nothing here takes time
        """Send what waits and leave."""
        self._closing = True
        self._reactor.call_soon(self._leave)

    # Everything below runs on the reactor's thread.

    def connect(self) -> None:
        """Dial, as a session does when its broker is back."""
        if self._closing or self._silent or self._connected or not self._broker.running:
            return
        self._standing.become(RoadState.CONNECTING)
        if self._birth is not None:
            mark = self._outbox.mark()  # what is said while the birth is made follows it
            self._presence = OwnPresence(*self._birth(next(self._numbers)))
            self._outbox.discard(self._presence.will.topic, until=mark)
        self._broker.admit(self)
        self._connected = True
        self._counters.connects += 1
        self._counters.reconnects = self._counters.connects - 1
        for birth in self._presence.births if self._presence else []:
            self._broker.route(birth)
        for topic_filter in self.filters:
            self._broker.send_retained(self, topic_filter)
        began_ns = self._reactor.now_ns
        self._reactor.call_soon(lambda: self._echoed(began_ns))

    def receive(self, delivery: Delivery) -> None:
        """Take one message from the broker."""
        if not self._connected or self._silent:
            return
        self._counters.received += 1
        self._counters.received_bytes += len(delivery.payload)
        presence = self._presence
        if presence is not None and presence.is_foreign(delivery.topic, bytes(delivery.payload)):
            self._correct()
        if len(delivery.payload) > self._max_payload_bytes:
            self._outbox.count_oversize()
            return
        self._router.deliver(delivery)

    def lost(self) -> None:
        """The broker is gone, or has given us up."""
        self._connected = False
        self._outbox.block(True)
        self._standing.become(RoadState.DEAD)

    def go_silent(self) -> None:
        """Play dead, while the broker believes that we are there."""
        self._silent = True

    def _correct(self) -> None:
        """Say our presence again, at most once a second: two rivals must not shout."""
        now_ns = self._reactor.now_ns
        wait_ns = self._reborn_ns + _REBIRTH_EVERY_NS - now_ns
        if wait_ns > 0:
            if not self._correction_waits:
                self._correction_waits = True
                self._reactor.call_later(wait_ns / 1e9, self._correct_late)
            return
        latest = self._presence.latest if self._presence else None
        if latest is None or not self._connected or self._silent:
            return
        self._reborn_ns = now_ns
        self._counters.rebirths += 1
        self._broker.route(latest)

    def _correct_late(self) -> None:
        self._correction_waits = False
        self._correct()

    def _echoed(self, began_ns: int) -> None:
        if self._connected:
            self._rtt_ns = self._reactor.now_ns - began_ns
            self._outbox.block(False)
            self._standing.become(RoadState.READY)
            self._pump()

    def _pump(self) -> None:
        while self._connected and not self._silent:
            message = self._outbox.take(now_ns=self._reactor.now_ns)
            if message is None:
                return
            self._counters.sent += 1
            self._counters.sent_bytes += len(message.payload)
            self._counters.acked += message.qos
            if self._presence is not None:
                self._presence.note(message)
            self._broker.route(message)

    def _leave(self) -> None:
        self._pump()
        self._connected = False
        self._broker.forget(self)
        self._standing.become(RoadState.CLOSED)
