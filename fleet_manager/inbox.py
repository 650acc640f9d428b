"""Shell: one ordered, bounded queue of work and the one thread that does it.

The network's thread only puts; decoding and database work happen here, in the order of arrival. An inbox
that is full, by pieces or by bytes, refuses: the caller counts what was lost and asks for it again later.
"""

import queue
import threading
import time
from collections.abc import Callable

from observability import log
from observability.metrics import Registry

Work = Callable[[], None]

DEPTH = 8192
MAX_BYTES = 64 << 20  # of payloads that wait
TICK_S = 0.1

_log = log.get("fleet_manager.inbox")


class Inbox:
    """Does work in order, and calls ``tick`` in between about every ``TICK_S``."""

    def __init__(
        self, *, tick: Work, metrics: Registry, depth: int = DEPTH, max_bytes: int = MAX_BYTES
    ) -> None:
        self._metrics = metrics
        self._tick = tick
        self._queue: queue.Queue[tuple[Work, int]] = queue.Queue(depth)
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bytes_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="fleet-inbox", daemon=True)
        self._closing = threading.Event()

    def __len__(self) -> int:
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, work: Work, *, payload_bytes: int = 0) -> bool:
        """Queue work that keeps ``payload_bytes`` alive, without blocking; False when the inbox is full."""
        with self._bytes_lock:
            fits = self._bytes + payload_bytes <= self._max_bytes and not self._queue.full()
            if fits:  # every put comes through here, so there is room
                self._queue.put_nowait((work, payload_bytes))
                self._bytes += payload_bytes
        if not fits:
            self._metrics.count("fleet_inbox_refused")
        return fits

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
                work, payload_bytes = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                continue
            self._guarded(work)
            with self._bytes_lock:
                self._bytes -= payload_bytes

    def _guarded(self, work: Work) -> None:
        """One broken message or a database that is away must not end the office."""
        try:
            work()
        except Exception:  # noqa: BLE001  counted and logged with its traceback: the next message is served
            self._metrics.count("fleet_inbox_failed")
            _log.exception("inbox_work_failed")
