"""What waits to be sent: bounded, and it always says what it dropped.

Pure core: time is passed in, nothing is sent here. One lock, because publishers
call from any thread. DATA gives up stale and oldest frames, CONTROL refuses new
ones when it is full and never loses what it accepted.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from broker.road import Message, RoadCounters, Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """Bounds of one outbox."""

    traffic: Traffic
    messages: int  # 1 or more
    queue_bytes: int
    default_budget_ns: int | None  # for publications that name none; None: for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    message: Message
    expires_ns: int | None
    number: int  # of the publications that were queued here; 0 for what came back


class Outbox:
    """A bounded queue of publications."""

    def __init__(self, limits: OutboxLimits, *, counters: RoadCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._accepted = 0
        self._blocked = True  # nothing is connected yet

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that wait here."""
        return self._bytes

    def block(self, blocked: bool) -> None:  # noqa: FBT001  a switch has one argument
        """Say whether the way out is blocked: only then does newest win per topic."""
        self._blocked = blocked

    def put(self, message: Message, *, now_ns: int, budget_ns: int | None = None) -> bool:
        """Queue one publication; False when it was dropped at once."""
        budget_ns = self._limits.default_budget_ns if budget_ns is None else budget_ns
        expires_ns = None if budget_ns is None else now_ns + budget_ns
        with self._lock:
            self._drop_stale_head(now_ns)  # so that an outage does not hold memory
            if self._limits.traffic is Traffic.DATA:
                self._make_room(message)
            if self._full(message):
                self._counters.dropped_full += 1
                return False
            self._accepted += 1
            self._waiting.append(_Waiting(message=message, expires_ns=expires_ns, number=self._accepted))
            self._bytes += len(message.payload)
        return True

    def take(self, *, now_ns: int) -> Message | None:
        """Hand out the oldest publication whose budget still holds."""
        with self._lock:
            self._drop_stale_head(now_ns)
            return self._pop().message if self._waiting else None

    def put_back(self, messages: list[Message]) -> None:
        """Return publications that the broker never confirmed to the head of the queue.

        They were accepted once, so they are kept even if the queue filled up meanwhile.
        """
        with self._lock:
            for message in reversed(messages):
                self._waiting.appendleft(_Waiting(message=message, expires_ns=None, number=0))
                self._bytes += len(message.payload)

    def count_oversize(self) -> None:
        """Count one that was too large."""
        with self._lock:
            self._counters.dropped_oversize += 1

    def count_closed(self) -> None:
        """Count one that came after the end."""
        with self._lock:
            self._counters.dropped_closed += 1

    def mark(self) -> int:
        """The present end of the queue: what is put from now on comes after it."""
        with self._lock:
            return self._accepted

    def discard(self, topic: str, *, until: int) -> None:
        """Drop what waits for `topic` and was put before the mark `until`: something newer was said."""
        with self._lock:
            self._discard(topic, until=until)

    def _discard(self, topic: str, *, until: int) -> None:
        for waiting in [w for w in self._waiting if w.message.topic == topic and w.number <= until]:
            self._waiting.remove(waiting)
            self._bytes -= len(waiting.message.payload)
            self._counters.dropped_superseded += 1

    def _drop_stale_head(self, now_ns: int) -> None:
        while self._waiting:
            expires_ns = self._waiting[0].expires_ns
            if expires_ns is None or now_ns <= expires_ns:
                return
            self._pop()
            self._counters.dropped_stale += 1

    def _pop(self) -> _Waiting:
        waiting = self._waiting.popleft()
        self._bytes -= len(waiting.message.payload)
        return waiting

    def _full(self, message: Message) -> bool:
        limits = self._limits
        return (
            len(self._waiting) >= limits.messages or self._bytes + len(message.payload) > limits.queue_bytes
        )

    def _make_room(self, message: Message) -> None:
        if self._blocked:
            self._discard(message.topic, until=self._accepted)
        while self._waiting and self._full(message):
            self._pop()
            self._counters.dropped_full += 1
