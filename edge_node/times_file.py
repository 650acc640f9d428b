"""Shell: the file in the state folder that keeps what is known of runs, written beside the frames, never among them.

A file that cannot be read is set aside with a warning, and one that cannot be written is a warning too: frames need
neither.
"""

import threading
from pathlib import Path

import structlog

from edge_node.errors import StoreError
from edge_node.journal import Journal
from edge_node.kept_times import KeptTimes, RunBook
from edge_node.perceive import Perception

_log = structlog.get_logger("edge_node.times_file")
EVERY_S = 300  # a crash forgets so much at most


class TimesFile:
    """One headset's. Belongs to the frame loop's thread, until that has ended."""

    def __init__(self, path: Path, perception: Perception) -> None:
        self._journal = Journal(path, KeptTimes)
        self._perception = perception
        self._book = RunBook(perception.device.name, self._read(path))
        self._writer: threading.Thread | None = None
        self._seconds = 0
        perception.use_book(self._book)

    def _read(self, path: Path) -> KeptTimes | None:
        try:
            return self._journal.read()
        except OSError as error:
            _log.warning("what runs took before is not known", path=str(path), why=error.strerror)
            return None

    def second(self) -> None:
        """A second has passed: now and then everything is written down, on a thread of its own."""
        self._seconds += 1
        is_writing = self._writer is not None and self._writer.is_alive()
        if self._seconds % EVERY_S or is_writing:
            return
        self._writer = threading.Thread(target=self._write, args=(self._newest(),), name="run-times")
        self._writer.start()

    def close(self) -> None:
        """Write everything down for the last time; on disk when this returns."""
        if self._writer is not None:
            self._writer.join()
        self._write(self._newest())

    def _newest(self) -> KeptTimes:
        self._perception.keep_times()
        return self._book.document()

    def _write(self, document: KeptTimes) -> None:
        try:
            self._journal.write(document)
        except StoreError as error:
            _log.warning("what runs took is forgotten at the next start", why=str(error))
