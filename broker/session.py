"""One session over a real broker: it dials, says who it is, and comes back.

Shell: owns one `Connection` at a time, the queue in front of it and the judgement
of its health. It refuses to hand over a second publication while the first is
not written: what the connection holds can no longer be dropped when it is stale.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from pathlib import Path

import structlog

from broker.backoff import Backoff
from broker.connection import Connection, ConnectionEvents
from broker.dial import Dialled, dial
from broker.errors import RoadMisuse
from broker.inflight import Inflight
from broker.outbox import Outbox
from broker.presence import OwnPresence
from broker.pulse import EchoMark, Pulse, Verdict
from broker.reactor import Reactor, Timer
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
from broker.router import Router, check_topic
from broker.session_config import S, SessionConfig
from broker.session_counter import SessionCounter
from broker.standing import Standing

_log = structlog.get_logger("broker.session")

_STATES = {
    Verdict.WAITING: RoadState.CONNECTING,
    Verdict.ALIVE: RoadState.READY,
    Verdict.SUSPECT: RoadState.SUSPECT,
}
_ACTIVE_NS = 1 * S
_REBIRTH_EVERY_NS = 1 * S
_CLOSE_POLL_S = 0.005


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
        self._birth = birth
        self._numbers = SessionCounter(session_counter, wall_s=int(time.time()))
        self._counters = RoadCounters()
        self._outbox = Outbox(config.outbox_limits, counters=self._counters)
        self._router = Router(counters=self._counters)
        self._pulse = Pulse(config.pulse_limits)
        self._mark = EchoMark(secrets.token_hex(8))
        rng = rng or random.Random(secrets.randbits(64))  # noqa: S311  jitter is no secret
        self._backoff = Backoff(floor_ns=config.backoff_floor_ns, cap_ns=config.backoff_cap_ns, rng=rng)
        self._standing = Standing(config.client_id, counters=self._counters)
        self._inflight = Inflight(limit=config.inflight_messages, counters=self._counters)
        self._connection: Connection | None = None
        self._echo_pending: int | None = None
        self._sent_ns = -_ACTIVE_NS
        self._reborn_ns = -_REBIRTH_EVERY_NS
        self._presence: OwnPresence | None = None
        self._timer: Timer | None = None
        self._pump_waits = False
        self._closing = False
        self._closed = threading.Event()
        reactor.call_soon(self._dial)

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
        return EchoRtt(last_ns=self._pulse.last_rtt_ns, p99_ns=self._pulse.p99_ns)

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
            self._counters.dropped_closed += 1
            return False
        message = Message(topic=topic, payload=bytes(payload), qos=qos, retain=retain)
        if len(message.payload) > self.config.max_payload_bytes:
            self._counters.dropped_oversize += 1
            return False
        if not self._outbox.put(message, now_ns=self._reactor.now_ns, budget_ns=budget_ns):
            return False
        if not self._pump_waits:  # a race here costs one idle call, never a lost one
            self._pump_waits = True
            self._reactor.call_soon(self._pump)
        return True

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 0) -> None:
        """Call `handler` for every match; see `Road.subscribe`."""
        self._router.add(topic_filter, handler, qos=qos)
        self._reactor.call_soon(lambda: self._subscribe_late(topic_filter))

    def on_state(self, handler: StateHandler) -> None:
        """Call `handler` with the present state, then at every change."""
        self._reactor.call_soon(lambda: self._standing.tell(handler))

    def close(self, *, timeout_s: float = 2.0) -> None:
        """Flush control, leave cleanly, stay closed; does not wait on the reactor's own thread."""
        self._closing = True
        deadline_ns = self._reactor.now_ns + round(timeout_s * S)
        self._reactor.call_soon(lambda: self._close(deadline_ns))
        if self._reactor.running and not self._reactor.here:
            self._closed.wait(timeout_s + 0.5)

    # Everything below runs on the reactor's thread.

    def _dial(self) -> None:
        self._timer = None
        if self._closing:
            return
        self._standing.become(RoadState.CONNECTING)
        dial(
            self.config.address,
            traffic=self.config.traffic,
            timeout_s=self.config.connect_timeout_ns / S,
            send_buffer_bytes=self.config.send_buffer_bytes,
            number=self._numbers.next,
            done=lambda dialled: self._reactor.call_soon(lambda: self._dialled(dialled)),
        )

    def _dialled(self, dialled: Dialled) -> None:
        if dialled.sock is None:
            self._redial(f"cannot reach {self.config.address}: {dialled.error}")
        elif self._closing:
            dialled.sock.close()
        else:
            try:
                self._connect(dialled)
            except Exception as error:
                dialled.sock.close()
                self._redial(f"the connection could not be set up: {error!r}")
                raise  # the reactor counts it and says where

    def _connect(self, dialled: Dialled) -> None:
        assert dialled.sock is not None
        if self._birth is not None:
            self._presence = OwnPresence(*self._birth(dialled.session_number))
        self._pulse.connected(now_ns=self._reactor.now_ns)
        self._connection = Connection(
            dialled.sock,
            self.config,
            reactor=self._reactor,
            will=self._presence.will if self._presence else None,
            events=ConnectionEvents(
                opened=self._opened,
                heard=lambda: self._pulse.heard(now_ns=self._reactor.now_ns),
                progressed=self._pump,
                delivered=self._delivered,
                acked=lambda mid, refused: self._inflight.acked(mid, refused=refused),
                subscription_refused=self._subscription_refused,
                ended=self._ended,
            ),
        )
        self._tick()

    def _opened(self) -> None:
        connection = self._connection
        assert connection is not None
        self._counters.connects += 1
        self._counters.reconnects = self._counters.connects - 1
        filters = [(self.config.echo_topic, 0), *self._router.filters()]
        if self._presence is not None:
            # The birth first: then the retained word that the subscription brings is our own.
            for birth in self._presence.births:
                connection.queue(birth)
            filters.insert(1, (self._presence.will.topic, 1))
        connection.subscribe(list(dict(filters).items()))
        self._pulse.begin()
        self._reactor.call_soon(self._tick)

    def _subscribe_late(self, topic_filter: str) -> None:
        if self._connection is not None and self._connection.connected:
            self._connection.subscribe([(topic_filter, self._router.qos(topic_filter))])
            self._pump()

    def _pump(self) -> None:
        """Hand over what waits, one at a time, while the way out is free."""
        self._pump_waits = False
        connection = self._connection
        if connection is None:
            return
        while connection.connected and not connection.blocked:
            self._inflight.written()
            message = self._next()
            if message is None:
                break
            self._hand(connection, message)
        self._outbox.block(connection.blocked)
        connection.settle()

    def _next(self) -> Message | None:
        if self._echo_pending is not None:
            payload = self._mark.write(self._echo_pending)
            self._echo_pending = None
            return Message(topic=self.config.echo_topic, payload=payload)
        if self._inflight.full:
            return None
        return self._outbox.take(now_ns=self._reactor.now_ns)

    def _hand(self, connection: Connection, message: Message) -> None:
        if message.topic != self.config.echo_topic:
            now_ns = self._reactor.now_ns
            if now_ns - self._sent_ns > _ACTIVE_NS:
                self._reactor.call_soon(self._tick)  # traffic begins: echo more often
            self._sent_ns = now_ns
            self._counters.sent += 1
            self._counters.sent_bytes += len(message.payload)
            if self._presence is not None:
                self._presence.note(message)
        self._inflight.handed(message, mid=connection.publish(message))

    def _delivered(self, delivery: Delivery) -> None:
        payload = bytes(delivery.payload)
        if delivery.topic == self.config.echo_topic:
            seq = self._mark.read(payload)
            if seq is not None:
                self._pulse.echo_returned(seq, now_ns=delivery.received_ns)
                self._reactor.call_soon(self._follow)
            return
        self._counters.received += 1
        self._counters.received_bytes += len(payload)
        if len(payload) > self.config.max_payload_bytes:
            self._counters.dropped_oversize += 1
            return
        if self._presence is not None and self._presence.correction(delivery.topic, payload):
            self._reactor.call_soon(self._correct)
        self._router.deliver(delivery)

    def _correct(self) -> None:
        """Say our presence again, at most once a second: two rivals must not shout."""
        now_ns = self._reactor.now_ns
        wait_ns = self._reborn_ns + _REBIRTH_EVERY_NS - now_ns
        if wait_ns > 0:
            self._reactor.call_later(wait_ns / S, self._correct)
            return
        latest = self._presence.latest if self._presence else None
        if latest is None or self._connection is None or not self._connection.connected:
            return
        self._reborn_ns = now_ns
        self._counters.rebirths += 1
        self._connection.queue(latest)
        self._pump()

    def _subscription_refused(self, topic_filter: str) -> None:
        self._counters.refused_subscriptions += 1
        self._standing.complain(
            f"the broker refused the subscription to {topic_filter}: check its access list"
        )

    def _tick(self) -> None:
        """Judge, echo if due, and come back when time alone can change something."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._judge() or self._connection is None:
            return
        self._connection.keep_alive()
        if self._connection is None:  # keep_alive may have ended it
            return
        now_ns = self._reactor.now_ns
        active = now_ns - self._sent_ns < _ACTIVE_NS
        if self._pulse.echo_due(now_ns=now_ns, active=active):
            self._echo_pending = self._pulse.echo_sent(now_ns=now_ns)
            self._pump()
        if self._connection is not None:
            delay_ns = self._pulse.next_check_ns(now_ns=now_ns, active=active)
            self._timer = self._reactor.call_later(min(delay_ns, S) / S, self._tick)

    def _follow(self) -> None:
        self._judge()

    def _judge(self) -> bool:
        """Follow the pulse's verdict; False when it ended the connection."""
        connection = self._connection
        if connection is None:
            return False
        verdict = self._pulse.verdict(now_ns=self._reactor.now_ns)
        if verdict is Verdict.DEAD:
            connection.abandon(f"silent for more than {self._pulse.dead_after_ns / S:.1f} s")
            return False
        if verdict is Verdict.ALIVE:
            self._backoff.reset()
        self._standing.become(_STATES[verdict])
        return True

    def _ended(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        self._echo_pending = None
        blocked = connection is not None and connection.blocked
        unconfirmed = self._inflight.take_unconfirmed(blocked=blocked)
        unconfirmed = [message for message in unconfirmed if message.topic != self.config.echo_topic]
        if self.config.traffic is Traffic.CONTROL:
            self._outbox.put_back(unconfirmed)
        else:
            self._counters.lost += len(unconfirmed)
        if not self._closing:
            self._redial(reason)

    def _redial(self, reason: str) -> None:
        if self._closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._standing.complain(f"{reason}; dialling again")
        self._standing.become(RoadState.DEAD)
        self._timer = self._reactor.call_later(self._backoff.next_ns() / S, self._dial)

    def _close(self, deadline_ns: int) -> None:
        """Leave when everything accepted went out, or when the time is up."""
        if self.state is RoadState.CLOSED:
            return
        connection = self._connection
        unsent = len(self._outbox) or len(self._inflight) or (connection is not None and connection.blocked)
        patient = self._reactor.now_ns < deadline_ns and self.config.traffic is Traffic.CONTROL
        if connection is not None and connection.connected and unsent and patient:
            self._pump()
            self._reactor.call_later(_CLOSE_POLL_S, lambda: self._close(deadline_ns))
            return
        if unsent:
            self._counters.lost += len(self._outbox)
            _log.warning(
                "closed with unsent messages", client=self.config.client_id, unsent=len(self._outbox)
            )
        if self._timer is not None:
            self._timer.cancel()
        if connection is not None:
            connection.leave()
        self._standing.become(RoadState.CLOSED)
        self._closed.set()
