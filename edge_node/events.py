"""Shell: the node's event file, one JSON object per line, written by its own thread.

``emit`` never blocks: lines wait in a bounded queue. What does not fit there, or what the disk does not take, is
counted in ``dropped`` and said in the last line, so that a reader knows that the file is not whole.
"""

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from queue import Empty, Full, Queue

import structlog

from edge_node.errors import StoreError
from edge_node.thread_priority import stand_beside

_log = structlog.get_logger("edge_node.events")

FLUSH_S = 0.1  # a reader who follows the file is never further behind
LIMIT = 4096


class EventFile:
    """Lines on their way to a file; with no path they go nowhere."""

    def __init__(self, path: Path | None) -> None:
        self.dropped = 0
        self._lock = threading.Lock()
        self._queue: Queue[Mapping[str, object] | None] = Queue(maxsize=LIMIT)
        self._thread: threading.Thread | None = None
        self._written_bytes = 0
        self._is_refused = False
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = FileIO(path, "w")  # no buffer in between: what the disk refused is known and counted
        except OSError as error:
            raise StoreError(
                f"cannot write events to {path}: {error.strerror}; name another --events"
            ) from error
        self._thread = threading.Thread(target=self._write, args=(file,), name="events", daemon=True)
        self._thread.start()

    def emit(self, line: Mapping[str, object]) -> None:
        """Queue one line."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(line)
        except Full:
            self._drop(1)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Write what is queued and end; a disk that stands still is not waited for any longer than this."""
        if self._thread is None:
            return
        try:
            self._queue.put(None, timeout=timeout_s)
        except Full:
            _log.error("events were not written: the disk stands still", lines=self._queue.qsize())
            return
        self._thread.join(timeout_s)

    def _drop(self, lines: int) -> None:
        with self._lock:  # several threads emit
            self.dropped += lines

    def _write(self, file: FileIO) -> None:
        stand_beside()  # it makes text while it holds the interpreter
        with file:
            batch: list[Mapping[str, object]] = []
            flushed_s = time.monotonic()
            while True:
                with contextlib.suppress(Empty):  # then only what is left of the batch is written
                    line = self._queue.get(timeout=FLUSH_S)
                    if line is None:
                        break
                    batch.append(line)
                if self._queue.empty() or time.monotonic() - flushed_s >= FLUSH_S:
                    self._put(file, batch)
                    batch, flushed_s = [], time.monotonic()
            self._put(file, batch)
            if self.dropped:
                self._put(file, [{"kind": "dropped", "lines": self.dropped}])

    def _put(self, file: FileIO, lines: list[Mapping[str, object]]) -> None:
        """Write lines whole; those that the disk refuses are counted, and the next ones are tried again."""
        if not lines:
            return
        content = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            self._drop(len(lines))
            self._cut(file)
            if not self._is_refused:
                _log.error("events are lost: the disk refuses them", error=str(error), lines=len(lines))
            self._is_refused = True
        else:
            self._written_bytes += len(content)
            self._is_refused = False

    def _cut(self, file: FileIO) -> None:
        """Take back the part of a line that was written; a pipe or a broken disk keeps it."""
        try:
            file.truncate(self._written_bytes)
            file.seek(self._written_bytes)
        except OSError as error:
            _log.debug("half a line may be in the event file", error=str(error))
