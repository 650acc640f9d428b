"""Shell: the node's event file, one JSON object per line, written by its own thread.

``emit`` never blocks: lines wait in a bounded queue, and what does not fit is counted in ``dropped`` and
said in the last line, so that a reader knows that the file is not whole.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TextIO

from edge_node.errors import StoreError

FLUSH_S = 0.5
LIMIT = 4096


class EventFile:
    """Lines on their way to a file; with no path they go nowhere."""

    def __init__(self, path: Path | None) -> None:
        self.dropped = 0
        self._queue: Queue[Mapping[str, object] | None] = Queue(maxsize=LIMIT)
        self._thread: threading.Thread | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8")
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
            self.dropped += 1

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Write what is queued and end."""
        if self._thread is not None:
            self._queue.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)

    def _write(self, file: TextIO) -> None:
        with file:
            while True:
                try:
                    line = self._queue.get(timeout=FLUSH_S)
                except Empty:
                    file.flush()
                    continue
                if line is None:
                    break
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
            if self.dropped:
                file.write(json.dumps({"kind": "dropped", "lines": self.dropped}) + "\n")
