"""Shell: what waits for the updater's thread. Bounded: chunks give way first, they are asked for again."""

from collections import Counter
from queue import Empty, Full, Queue

import structlog

from edge_node.fetch import Chunk
from schemas.documents import Ack, Desired

_log = structlog.get_logger("edge_node.update_inbox")
CHUNK_LIMIT, DOCUMENT_LIMIT = 256, 64

Item = Desired | Ack | Chunk


class UpdateInbox:
    """Takes things in on any thread, without ever blocking it."""

    def __init__(self) -> None:
        self._queue: Queue[Item | None] = Queue(maxsize=CHUNK_LIMIT + DOCUMENT_LIMIT)
        self.counts: Counter[str] = Counter()

    def desired(self, document: Desired) -> None:
        """The manager's wish."""
        self._put(document)

    def ack(self, document: Ack) -> None:
        """The manager has stored a terminal report."""
        self._put(document)

    def chunk(self, digest: str, n: int, data: bytes) -> None:
        """A chunk came."""
        if self._queue.qsize() >= CHUNK_LIMIT:
            self.counts["dropped_chunks"] += 1
        else:
            self._put(Chunk(digest=digest, n=n, data=data))

    def wake(self) -> None:
        """Let whoever waits look around."""
        self._put(None)

    def get(self, *, timeout_s: float) -> Item | None:
        """The next thing, None where nothing came in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except Empty:
            return None

    def _put(self, item: Item | None) -> None:
        try:
            self._queue.put_nowait(item)
        except Full:  # the manager repeats itself after the next birth or report
            self.counts["dropped_documents"] += 1
            _log.warning("the updater's inbox is full", item=type(item).__name__)
