"""The road as every other room sees it: its words and its Protocol.

Vocabulary: no socket, no clock, no MQTT library may enter here. A room holds a
`Road`; `Session` drives a real broker and `LoopbackRoad` an in-process one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from schemas.topics import Traffic as Traffic  # noqa: PLC0414  said again: it is one of our words too


class RoadState(str, Enum):
    """How far the road can be trusted right now."""

    CONNECTING = "connecting"  # no echo of our own came back yet
    READY = "ready"  # our own echo came back in time
    SUSPECT = "suspect"  # an echo is overdue: do not rely on answers
    DEAD = "dead"  # the connection is gone; the road is waiting to redial
    CLOSED = "closed"  # closed by its owner, for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One publication."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One received publication; the payload never changes afterwards, so it may be kept."""

    topic: str
    payload: memoryview | bytes
    qos: int
    retain: bool
    received_ns: int  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says in our name when we vanish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoRtt:
    """Round trips of our own echo through the broker; None until one came back."""

    last_ns: int | None
    p99_ns: int | None


@dataclass(slots=True, kw_only=True)
class RoadCounters:
    """What happened on one road since it was opened.

    The `dropped_*` are written under the outbox's lock, for publishers call from any thread;
    all others by the reactor's thread only.
    """

    sent: int = 0  # publications handed to the kernel (loopback: to the broker)
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    acked: int = 0  # QoS 1 publications confirmed by the broker
    dropped_stale: int = 0  # its budget ran out while it waited
    dropped_superseded: int = 0  # a newer one for the same topic came while the way was blocked
    dropped_full: int = 0  # the queue was full
    dropped_closed: int = 0  # published after close
    lost: int = 0  # was being sent when the connection went, and not sent again
    dropped_oversize: int = 0  # larger than max_payload_bytes, sent or received
    refused_publishes: int = 0  # the broker said no (MQTT 5 only: 3.1.1 brokers keep silent)
    refused_subscriptions: int = 0
    handler_errors: int = 0
    connects: int = 0
    reconnects: int = 0
    suspects: int = 0
    rebirths: int = 0  # somebody else spoke on our presence topic and we corrected it


Handler = Callable[[Delivery], None]
StateHandler = Callable[[RoadState], None]
Birth = Callable[[int], tuple[Will, list[Message]]]


@runtime_checkable
class Road(Protocol):
    """One session over some broker; every method may be called from any thread."""

    @property
    def state(self) -> RoadState:
        """How far the road can be trusted right now."""

    @property
    def counters(self) -> RoadCounters:
        """What happened so far."""

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that wait to be sent."""

    @property
    def echo_rtt_ns(self) -> EchoRtt:
        """Last and p99 round trip of our own echo, in nanoseconds."""

    def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview,
        *,
        qos: int = 0,
        retain: bool = False,
        budget_ns: int | None = None,
    ) -> bool:
        """Queue one publication without ever blocking; the payload is copied.

        `budget_ns` is the time it may wait here before it must have left. Returns
        False when it was dropped at once (and counted). Raises RoadMisuse.
        """

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 0) -> None:
        """Call `handler` on the reactor thread for every match, after every reconnect too."""

    def on_state(self, handler: StateHandler) -> None:
        """Call `handler` on the reactor thread: with the present state, then at every change."""

    def close(self, *, timeout_s: float = 2.0) -> None:
        """Flush what control still holds, leave cleanly (no will), and stay closed."""
