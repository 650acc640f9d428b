"""Shell: one ordered, bounded queue of work and the one thread that does it.

The network's thread only puts; decoding and database work happen here, in the order of arrival. A full
inbox refuses: the caller counts what was lost and asks for it again later.
"""

import queue
import threading
import time
from collections.abc import Callable

from observability import log
from observability.metrics import Registry

Work = Callable[[], None]

DEPTH = 8192
TICK_S = 0.1

_log = log.get("fleet_manager.inbox")


class Inbox:
    """Does work in order, and calls ``tick`` in between about every ``TICK_S``."""

    def __init__(self, *, tick: Work, metrics: Registry, depth: int = DEPTH) -> None:
        self._metrics = metrics
        self._tick = tick
        self._queue: queue.Queue[Work] = queue.Queue(depth)
        self._thread = threading.Thread(target=self._run, name="fleet-inbox", daemon=True)
        self._closing = threading.Event()

    def __len__(self) -> int:
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, work: Work) -> bool:
        """Queue work without blocking; False when the inbox is full."""
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._metrics.count("fleet_inbox_refused")
            return False
        return True

    def close(self) -> None:
        """Stop after the work at hand."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        next_tick_s = 0.0
        while not self._closing.is_set():
            if time.monotonic() >= next_tick_s:
                self._guarded(self._tick)
                next_tick_s = time.monotonic() + TICK_S
            try:
                work = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                continue
            self._guarded(work)

    def _guarded(self, work: Work) -> None:
        """One broken message or a database that is away must not end the office."""
        try:
            work()
        except Exception:  # noqa: BLE001  counted and logged with its traceback: the next message is served
            self._metrics.count("fleet_inbox_failed")
            _log.exception("inbox_work_failed")
