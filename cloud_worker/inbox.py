"""Pure core: what came in and was not looked at yet, and what is let go of when too much comes.

To look at a message costs several times what it costs to read it. So where more comes than can be looked at, not even
by refusing it, it is here that most of it ends, unread and counted: left to queue up at the broker, every frame would be
too old once its turn comes, and none would be answered. Under that pressure a sender's newest message is looked at when
the turn of its oldest has come, and those between are let go of, so turns go round whoever sends how much; what waited
longer than any frame can wait goes as well. A burst is no pressure: nothing is let go of until something has waited
without a break for a while, nor where little waits. Bounded by time and bytes, as far as reading is. Reads no clock.
"""

from collections import deque
from dataclasses import dataclass

from broker.road import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxLimits:
    """``few``: so many are never too many. What waited ``patience_ns`` yields to its sender's newer ones.

    ``burst_ns``: so long after the last moment at which nothing waited nothing is too much, up to ``burst_bytes``.
    """

    few: int = 16
    burst_ns: int = 500_000_000
    burst_bytes: int = 16 << 20
    patience_ns: int = 10_000_000
    hopeless_ns: int = 50_000_000


class Inbox:
    """Deliveries in the order they came. ``shed``: how many were let go of."""

    def __init__(self, limits: InboxLimits | None = None) -> None:
        self.shed = 0
        self._limits = limits or InboxLimits()
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._busy_ns = 0  # when the first came of those between which there was no break
        self._newest: dict[str, Delivery] = {}  # by topic, which names sender and task
        self._ahead: dict[str, Delivery] = {}  # taken before their turn, which is still to come

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery) -> None:
        """Take one in."""
        if not self._waiting:
            self._busy_ns = delivery.received_ns
        self._waiting.append(delivery)
        self._bytes += len(delivery.payload)
        self._newest[delivery.topic] = delivery

    def take(self, *, now_ns: int) -> Delivery | None:
        """The next one to look at; None: nothing waits."""
        while self._waiting:
            first = self._waiting.popleft()
            self._bytes -= len(first.payload)
            ahead = self._ahead.get(first.topic)
            if ahead is first:
                del self._ahead[first.topic]
            elif ahead is not None:
                self.shed += 1  # a newer one was looked at instead
            elif (chosen := self._chosen(first, now_ns=now_ns)) is not None:
                return chosen
        return None

    def _chosen(self, first: Delivery, *, now_ns: int) -> Delivery | None:
        """Whose turn it is by this one: itself, or under pressure the newest of its sender, or nobody."""
        waited_ns = now_ns - first.received_ns
        is_burst = now_ns - self._busy_ns <= self._limits.burst_ns and self._bytes <= self._limits.burst_bytes
        pressed = len(self._waiting) >= self._limits.few and not is_burst
        newest = self._newest[first.topic]
        if newest is first:
            del self._newest[first.topic]
            if pressed and waited_ns > self._limits.hopeless_ns:
                self.shed += 1
                return None
            return first
        if pressed and waited_ns > self._limits.patience_ns:
            self.shed += 1
            self._ahead[first.topic] = self._newest.pop(first.topic)
            return newest
        return first
