"""What was handed to the connection and is not certain to have arrived.

Pure core. QoS 1 is certain when the broker confirmed it, QoS 0 when it was written.

A broker that ends the connection because of one message would do so for ever, because what it did not confirm
is sent again. The oldest one is under suspicion then and goes alone, so that the blame is exact, and after
STRIKES ends it is given up.
"""

from __future__ import annotations

from broker.road import Message, RoadCounters

STRIKES = 3


class Inflight:
    """The window of unconfirmed publications of one session."""

    def __init__(self, *, limit: int, counters: RoadCounters) -> None:
        self._limit = limit
        self._counters = counters
        self._unconfirmed: dict[int, Message] = {}
        self._handed: Message | None = None
        self._suspect: Message | None = None
        self._strikes = 0

    def __len__(self) -> int:
        return len(self._unconfirmed)

    def full(self, *, allowed: int, others: int) -> bool:
        """Whether the next one has to wait; the broker allows `allowed`, and `others` are not ours."""
        limit = 1 if self._suspect is not None else min(self._limit, allowed)
        return len(self._unconfirmed) + others >= limit

    def written(self) -> None:
        """Everything handed over went out."""
        if self._handed is not None and self._handed is self._suspect:
            self._acquit()
        self._handed = None

    def handed(self, message: Message, *, mid: int) -> None:
        """Note a publication that the connection took."""
        if message.qos:
            self._unconfirmed[mid] = message
        else:
            self._handed = message

    def acked(self, mid: int, *, refused: bool) -> None:
        """The broker confirmed one; ids of others are ignored."""
        if self._unconfirmed.pop(mid, None) is not None:
            self._acquit()  # the oldest goes first: it is through, or nobody waits to send it any more
            self._counters.acked += 1
            self._counters.refused_publishes += refused

    def take_unconfirmed(self, *, blocked: bool) -> list[Message]:
        """Forget and return what may not have arrived, oldest first."""
        unconfirmed = list(self._unconfirmed.values())
        if blocked and self._handed is not None:
            unconfirmed.append(self._handed)
        self._unconfirmed.clear()
        self._handed = None
        return unconfirmed

    def blame(self, unconfirmed: list[Message]) -> Message | None:
        """The broker ended the connection: return the one that is to be given up, if it is time."""
        if not unconfirmed:
            return None
        self._strikes = self._strikes + 1 if unconfirmed[0] is self._suspect else 1
        self._suspect = unconfirmed[0]
        if self._strikes < STRIKES:
            return None
        self._acquit()
        return unconfirmed[0]

    def _acquit(self) -> None:
        self._suspect, self._strikes = None, 0
