"""Core: the office's birth, will and goodbye as messages.

Keeps the number of the present connection, because the goodbye has to carry it, and whether the office is
leaving: from then on a connection that comes back is born offline. The wall time comes through ``clock_ms``.
"""

from collections.abc import Callable

from broker.road import Message, Will
from schemas.documents import ManagerPresence, canonical_bytes
from schemas.topics import row, topic


class Presence:
    """What the office says about itself."""

    def __init__(self, *, site: str, manager: str, epoch: int, clock_ms: Callable[[], int]) -> None:
        self._site = site
        self._manager = manager
        self._epoch = epoch
        self._clock_ms = clock_ms
        self._session = 0
        self._leaving = False

    def birth(self, session: int) -> tuple[Will, list[Message]]:
        """The will and the first message of a connection; the session calls this before each CONNECT."""
        self._session = session
        gone = self._message(online=False)
        return Will(topic=gone.topic, payload=gone.payload), [self._message(online=not self._leaving)]

    def leave(self) -> Message:
        """The goodbye, for good: a clean disconnect sends no will."""
        self._leaving = True
        return self._message(online=False)

    def _message(self, *, online: bool) -> Message:
        document = ManagerPresence(
            manager=self._manager,
            online=online,
            session=self._session,
            epoch=self._epoch,
            sent_ms=self._clock_ms(),
        )
        stream = row("manager-presence")
        return Message(
            topic=topic(stream.name, site=self._site, manager=self._manager),
            payload=canonical_bytes(document),
            qos=stream.qos,
            retain=stream.retain,
        )
