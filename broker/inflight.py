"""What was handed to the connection and is not certain to have arrived.

Pure core. QoS 1 is certain when the broker confirmed it, QoS 0 when it was written.
"""

from __future__ import annotations

from broker.road import Message, RoadCounters


class Inflight:
    """The window of unconfirmed publications of one session."""

    def __init__(self, *, limit: int, counters: RoadCounters) -> None:
        self._limit = limit
        self._counters = counters
        self._unconfirmed: dict[int, Message] = {}
        self._handed: Message | None = None

    def __len__(self) -> int:
        return len(self._unconfirmed)

    @property
    def full(self) -> bool:
        """Whether a QoS 1 publication has to wait."""
        return len(self._unconfirmed) >= self._limit

    def written(self) -> None:
        """Everything handed over went out."""
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
