"""What this client said about itself, and noticing when another speaks for it.

Pure core. A half-open old connection makes the broker publish an old will after
our birth; whoever sees such a foreign word on the own presence topic says its
own again.
"""

from __future__ import annotations

from collections import deque

from broker.road import Message, Will

_REMEMBERED = 16  # own words may come back after newer ones left


class OwnPresence:
    """The presence topic of one session number."""

    def __init__(self, will: Will, births: list[Message]) -> None:
        self.will = will
        self.births = births
        self.latest: Message | None = None  # what to say again
        self._said: deque[bytes] = deque(maxlen=_REMEMBERED)
        for birth in births:
            self.note(birth)

    def note(self, message: Message) -> None:
        """Remember what we publish, if it is about our presence."""
        if message.topic == self.will.topic:
            self.latest = message
            self._said.append(message.payload)

    def is_foreign(self, topic: str, payload: bytes) -> bool:
        """Whether somebody else spoke on our presence topic."""
        return topic == self.will.topic and payload not in self._said
