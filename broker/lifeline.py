"""Keeps one connection up: dials, judges it by its echo, gives it up, dials again.

Shell, on the reactor's thread only. It owns the present `Connection`, the session's
number and what this client says about itself. What waits to be sent is not its
business: the session keeps that across connections.
"""

from __future__ import annotations

import dataclasses
import random
import secrets

from broker.backoff import Backoff
from broker.connection import Connection
from broker.connection_events import ConnectionEvents
from broker.dial import Dialled, dial
from broker.presence import OwnPresence
from broker.pulse import EchoMark, Pulse, Verdict
from broker.reactor import Reactor, Timer
from broker.road import Birth, Delivery, Message, RoadCounters, RoadState
from broker.session_config import S, SessionConfig
from broker.session_counter import SessionCounter
from broker.standing import Standing

_STATES = {
    Verdict.WAITING: RoadState.CONNECTING,
    Verdict.ALIVE: RoadState.READY,
    Verdict.SUSPECT: RoadState.SUSPECT,
}
_ACTIVE_NS = 1 * S
_REBIRTH_EVERY_NS = 1 * S


class Lifeline:
    """One connection after the other, until `cut`."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        reactor: Reactor,
        standing: Standing,
        counters: RoadCounters,
        numbers: SessionCounter,
        birth: Birth | None,
        rng: random.Random,
        events: ConnectionEvents,
    ) -> None:
        self.connection: Connection | None = None
        self.presence: OwnPresence | None = None
        self.pulse = Pulse(config.pulse_limits)
        self._config = config
        self._reactor = reactor
        self._standing = standing
        self._counters = counters
        self._numbers = numbers
        self._birth = birth
        self._events = dataclasses.replace(events, opened=self._opened, heard=self._heard, ended=self._ended)
        self._owner = events
        self._mark = EchoMark(secrets.token_hex(8))
        self._backoff = Backoff(floor_ns=config.backoff_floor_ns, cap_ns=config.backoff_cap_ns, rng=rng)
        self._echo_pending: int | None = None
        self._began_ns = 0
        self._sent_ns = -_ACTIVE_NS
        self._reborn_ns = -_REBIRTH_EVERY_NS
        self._ticking: Timer | None = None
        self._cut = False

    def dial(self) -> None:
        """Begin an attempt."""
        if self._cut:
            return
        self._standing.become(RoadState.CONNECTING)
        dial(
            self._config.address,
            traffic=self._config.traffic,
            timeout_s=self._config.connect_timeout_ns / S,
            send_buffer_bytes=self._config.send_buffer_bytes,
            number=self._numbers.next,
            done=lambda dialled: self._reactor.call_soon(lambda: self._dialled(dialled)),
        )

    def cut(self) -> None:
        """Leave cleanly and dial no more."""
        self._cut = True
        if self._ticking is not None:
            self._ticking.cancel()
        if self.connection is not None:
            self.connection.leave()

    def sending(self, message: Message) -> None:
        """Note that traffic flows, and what it says about us."""
        now_ns = self._reactor.now_ns
        if now_ns - self._sent_ns > _ACTIVE_NS:
            self._reactor.call_soon(self._tick)  # traffic begins: echo more often
        self._sent_ns = now_ns
        if self.presence is not None:
            self.presence.note(message)

    def take_echo(self) -> Message | None:
        """Return the echo that is due, ahead of everything else."""
        if self._echo_pending is None:
            return None
        payload = self._mark.write(self._echo_pending)
        self._echo_pending = None
        return Message(topic=self._config.echo_topic, payload=payload)

    def overhear(self, delivery: Delivery) -> bool:
        """Take note of an echo or of our presence; True for what concerns nobody else."""
        if delivery.topic == self._config.echo_topic:
            seq = self._mark.read(bytes(delivery.payload))
            if seq is not None:
                self.pulse.echo_returned(seq, now_ns=delivery.received_ns)
                self._reactor.call_soon(self._judge)
            return True
        if self.presence is not None and self.presence.is_foreign(delivery.topic, bytes(delivery.payload)):
            self._reactor.call_soon(self._correct)
        return False

    def _dialled(self, dialled: Dialled) -> None:
        if dialled.sock is None:
            self._redial(f"cannot reach {self._config.address}: {dialled.error}")
        elif self._cut:
            dialled.sock.close()
        else:
            try:
                self._connect(dialled)
            except Exception as error:
                self._reactor.unwatch(dialled.sock)
                dialled.sock.close()
                self.connection = None
                self._redial(f"the connection could not be set up: {error!r}")
                raise  # the reactor counts it and says where

    def _connect(self, dialled: Dialled) -> None:
        assert dialled.sock is not None
        if self._birth is not None:
            self.presence = OwnPresence(*self._birth(dialled.session_number))
        self._began_ns = self._reactor.now_ns
        self.pulse.connected(now_ns=self._began_ns)
        self.connection = Connection(
            dialled.sock,
            self._config,
            reactor=self._reactor,
            will=self.presence.will if self.presence else None,
            events=self._events,
        )
        self._tick()

    def _opened(self) -> None:
        self._counters.connects += 1
        self._counters.reconnects = self._counters.connects - 1
        self._owner.opened()
        self.pulse.begin()
        self._reactor.call_soon(self._tick)

    def _heard(self) -> None:
        self.pulse.heard(now_ns=self._reactor.now_ns)
        self._owner.heard()

    def _ended(self, reason: str) -> None:
        self._owner.ended(reason)
        self.connection = None
        self._echo_pending = None
        self._redial(reason)

    def _redial(self, reason: str) -> None:
        if self._cut:
            return
        self._standing.complain(f"{reason}; dialling again")
        self._standing.become(RoadState.DEAD)
        self._reactor.call_later(self._backoff.next_ns() / S, self.dial)

    def _tick(self) -> None:
        """Judge, echo if due, and come back when time alone can change something."""
        if self._ticking is not None:
            self._ticking.cancel()
        self._judge()
        if self.connection is not None:
            self.connection.keep_alive()
        if self.connection is None:  # either call may have ended it
            return
        now_ns = self._reactor.now_ns
        active = now_ns - self._sent_ns < _ACTIVE_NS
        if self.pulse.echo_due(now_ns=now_ns, active=active):
            self._echo_pending = self.pulse.echo_sent(now_ns=now_ns)
            self._owner.progressed()
        delay_ns = self.pulse.next_check_ns(now_ns=now_ns, active=active)
        self._ticking = self._reactor.call_later(min(delay_ns, S) / S, self._tick)

    def _judge(self) -> None:
        connection = self.connection
        if connection is None:
            return
        verdict = self.pulse.verdict(now_ns=self._reactor.now_ns)
        if verdict is Verdict.DEAD:
            connection.abandon(f"silent for more than {self.pulse.dead_after_ns / S:.1f} s")
            return
        # Not at the first echo: two clients that fight for one name would never slow down.
        if verdict is Verdict.ALIVE and self._reactor.now_ns - self._began_ns > self._config.backoff_cap_ns:
            self._backoff.reset()
        self._standing.become(_STATES[verdict])

    def _correct(self) -> None:
        """Say our presence again, at most once a second: two rivals must not shout."""
        now_ns = self._reactor.now_ns
        wait_ns = self._reborn_ns + _REBIRTH_EVERY_NS - now_ns
        if wait_ns > 0:
            self._reactor.call_later(wait_ns / S, self._correct)
            return
        latest = self.presence.latest if self.presence else None
        if latest is None or self.connection is None or not self.connection.connected:
            return
        self._reborn_ns = now_ns
        self._counters.rebirths += 1
        self.connection.queue(latest)
        self._owner.progressed()
