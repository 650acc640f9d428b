"""One session over a real broker: what a room publishes and hears.

Shell. It owns the queue in front of the connection and what is not confirmed yet;
`Lifeline` keeps the connection. It refuses to hand over a second publication while
the first is not written: what the connection holds can no longer be dropped when
it became stale.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from functools import partial
from pathlib import Path

from broker.connection_events import ConnectionEvents
from broker.errors import RoadMisuse
from broker.inflight import STRIKES, Inflight
from broker.lifeline import Lifeline
from broker.outbox import Outbox
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
    Will,
)
from broker.router import Router, check_filter, check_topic
from broker.session_config import S, SessionConfig
from broker.session_counter import SessionCounter
from broker.standing import Standing
from observability import log

_log = log.get("broker.session")

_CLOSE_POLL_S = 0.005
_CLOSE_GRACE_S = 0.5


class Session:
    """A `Road` over a real broker; it dials at once and redials until closed."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        reactor: Reactor,
        birth: Birth | None = None,
        session_counter: Path | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.config = config
        self._reactor = reactor
        self._counters = RoadCounters()
        self._outbox = Outbox(config.outbox_limits, counters=self._counters)
        self._router = Router(counters=self._counters)
        self._standing = Standing(config.client_id, counters=self._counters)
        self._inflight = Inflight(limit=config.inflight_messages, counters=self._counters)
        self._lifeline = Lifeline(
            config,
            reactor=reactor,
            standing=self._standing,
            counters=self._counters,
            numbers=SessionCounter(session_counter, wall_s=int(time.time())),
            birth=None if birth is None else partial(self._be_born, birth),
            rng=rng or random.Random(secrets.randbits(64)),  # noqa: S311  jitter is no secret
            events=ConnectionEvents(
                opened=self._greet,
                heard=lambda: None,
                progressed=self._pump,
                delivered=self._delivered,
                acked=lambda mid, refused: self._inflight.acked(mid, refused=refused),
                subscription_refused=self._subscription_refused,
                ended=self._keep_unconfirmed,
            ),
        )
        self._pump_waits = False
        self._closing = False
        self._closed = threading.Event()
        reactor.call_soon(self._lifeline.dial)

    @property
    def state(self) -> RoadState:
        """How far the road can be trusted right now."""
        return self._standing.state

    @property
    def last_error(self) -> str | None:
        """The last problem in words; None while the road is ready."""
        return self._standing.last_error

    @property
    def counters(self) -> RoadCounters:
        """What happened so far."""
        return self._counters

    @property
    def echo_rtt_ns(self) -> EchoRtt:
        """Last and p99 round trip of our own echo, in nanoseconds."""
        pulse = self._lifeline.pulse
        return EchoRtt(last_ns=pulse.last_rtt_ns, p99_ns=pulse.p99_ns)

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that wait to be sent."""
        return self._outbox.queued_bytes

    def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview,
        *,
        qos: int = 0,
        retain: bool = False,
        budget_ns: int | None = None,
    ) -> bool:
        """Queue one publication without ever blocking; see `Road.publish`."""
        check_topic(topic)
        if qos not in (0, 1):
            raise RoadMisuse(f"QoS {qos} is not used here: choose 0 or 1")
        if self._closing:
            self._outbox.count_closed()
            return False
        message = Message(topic=topic, payload=bytes(payload), qos=qos, retain=retain)
        if len(message.payload) > self.config.max_payload_bytes:
            self._outbox.count_oversize()
            return False
        if not self._outbox.put(message, now_ns=self._reactor.now_ns, budget_ns=budget_ns):
            return False
        if not self._pump_waits:  # a race here costs one idle call, never a lost one
            self._pump_waits = True
            self._reactor.call_soon(self._pump)
        return True

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 0) -> None:
        """Call `handler` for every match; see `Road.subscribe`."""
        check_filter(topic_filter)
        self._reactor.call_soon(lambda: self._subscribe(topic_filter, handler, qos))

    def on_state(self, handler: StateHandler) -> None:
        """Call `handler` with the present state, then at every change."""
        self._reactor.call_soon(lambda: self._standing.tell(handler))

    def close(self, *, timeout_s: float = 2.0) -> None:
        """Flush control, leave cleanly, stay closed; does not wait on the reactor's own thread."""
        self._closing = True
        deadline_ns = self._reactor.now_ns + round(timeout_s * S)
        self._reactor.call_soon(lambda: self._close(deadline_ns))
        if self._reactor.running and not self._reactor.here:
            self._closed.wait(timeout_s + _CLOSE_GRACE_S)

    # Everything below runs on the reactor's thread.

    def _be_born(self, birth: Birth, session: int) -> tuple[Will, list[Message]]:
        """Make the birth; it replaces what waited before, and what comes from now on follows it.

        Not when the connection opens: a goodbye that is said in between would be dropped for the birth.
        """
        mark = self._outbox.mark()
        will, births = birth(session)
        self._outbox.discard(will.topic, until=mark)
        return will, births

    def _greet(self) -> None:
        """Say who we are and ask for everything again."""
        connection, presence = self._lifeline.connection, self._lifeline.presence
        assert connection is not None
        filters = [(self.config.echo_topic, 0), *self._router.filters()]
        if presence is not None:
            # The birth first: then the retained word that the subscription brings is our own.
            for birth in presence.births:
                connection.queue(birth)
            filters.append((presence.will.topic, 1))
        connection.subscribe(list(dict(filters).items()))

    def _subscribe(self, topic_filter: str, handler: Handler, qos: int) -> None:
        self._router.add(topic_filter, handler, qos=qos)
        connection = self._lifeline.connection
        if connection is not None and connection.connected:
            connection.subscribe([(topic_filter, self._router.qos(topic_filter))])
            self._pump()

    def _pump(self) -> None:
        """Hand over what waits, one at a time, while the way out is free."""
        self._pump_waits = False
        connection = self._lifeline.connection
        if connection is None:
            return
        connection.flush()
        while connection.connected and not connection.blocked:
            self._inflight.written()
            message = self._lifeline.take_echo()
            if message is None:
                message = self._next()
                if message is None:
                    break
            self._inflight.handed(message, mid=connection.publish(message))
        self._outbox.block(connection.blocked or not connection.connected)
        connection.settle()

    def _next(self) -> Message | None:
        connection = self._lifeline.connection
        assert connection is not None
        allowance = connection.allowance
        if self._inflight.full(allowed=allowance.unconfirmed_messages, others=connection.queued):
            return None
        message = self._outbox.take(now_ns=self._reactor.now_ns)
        while message is not None and not allowance.fits(message):
            self._outbox.count_oversize()
            self._standing.complain(
                f"the broker takes packets of {allowance.packet_bytes} bytes, and one for {message.topic} "
                "is larger: raise its max_packet_size"
            )
            message = self._outbox.take(now_ns=self._reactor.now_ns)
        if message is not None:
            self._lifeline.sending(message)
            self._counters.sent += 1
            self._counters.sent_bytes += len(message.payload)
        return message

    def _delivered(self, delivery: Delivery) -> None:
        if self._lifeline.overhear(delivery):
            return
        self._counters.received += 1
        self._counters.received_bytes += len(delivery.payload)
        if len(delivery.payload) > self.config.max_payload_bytes:
            self._outbox.count_oversize()
            return
        self._router.deliver(delivery)

    def _subscription_refused(self, topic_filter: str) -> None:
        self._counters.refused_subscriptions += 1
        self._standing.complain(
            f"the broker refused the subscription to {topic_filter}: check its access list"
        )

    def _keep_unconfirmed(self, _reason: str) -> None:
        connection = self._lifeline.connection
        blocked = connection is not None and connection.blocked
        self._outbox.block(True)
        unconfirmed = [
            message
            for message in self._inflight.take_unconfirmed(blocked=blocked)
            if message.topic != self.config.echo_topic
        ]
        if self.config.traffic is not Traffic.CONTROL:
            self._counters.lost += len(unconfirmed)
            return
        if connection is not None and not connection.given_up:
            blamed = self._inflight.blame(unconfirmed)
            if blamed is not None:
                unconfirmed.remove(blamed)
                self._counters.lost += 1
                self._standing.complain(
                    f"the broker ended {STRIKES} connections over the same message for {blamed.topic} "
                    f"({len(blamed.payload)} bytes), which is given up: check the broker's limits and log"
                )
        self._outbox.put_back(unconfirmed)

    def _close(self, deadline_ns: int) -> None:
        """Leave when everything accepted went out, or when the time is up."""
        if self.state is RoadState.CLOSED:
            return
        connection = self._lifeline.connection
        unsent = len(self._outbox) + len(self._inflight)
        if connection is not None and connection.connected:
            waits = unsent or connection.blocked
            if waits and self.config.traffic is Traffic.CONTROL and self._reactor.now_ns < deadline_ns:
                self._pump()
                self._reactor.call_later(_CLOSE_POLL_S, lambda: self._close(deadline_ns))
                return
        self._lifeline.cut()
        if unsent:
            self._counters.lost += unsent
            _log.warning("closed with unsent messages", client=self.config.client_id, unsent=unsent)
        self._standing.become(RoadState.CLOSED)
        self._closed.set()
