"""Shell: one ordered, bounded queue of work and the one thread that does it.

The network's thread only puts; decoding and database work happen here, in the order of arrival. An inbox
that is full, by pieces or by bytes, refuses: the caller counts what was lost and asks for it again later.
What must not be lost and is replaced by its own newer version has a place beside the queue, one per name: it
is never refused, and its turn comes after what was put before it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from observability import log
from observability.metrics import Registry

Work = Callable[[], None]

DEPTH = 8192
MAX_BYTES = 64 << 20  # of payloads that wait
TICK_S = 0.1

_log = log.get("fleet_manager.inbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    work: Work
    after: int  # how many pieces of the queue come first


class Inbox:
    """Does work in order, and calls ``tick`` in between about every ``TICK_S``."""

    def __init__(
        self, *, tick: Work, metrics: Registry, depth: int = DEPTH, max_bytes: int = MAX_BYTES
    ) -> None:
        self._metrics = metrics
        self._tick = tick
        self._queue: deque[tuple[Work, int]] = deque()
        self._latest: dict[str, _Latest] = {}  # in the order in which they were put
        self._depth = depth
        self._max_bytes = max_bytes
        self._bytes = 0
        self._accepted = 0
        self._wake = threading.Condition()  # guards everything above that changes
        self._thread = threading.Thread(target=self._run, name="fleet-inbox", daemon=True)
        self._closing = threading.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, work: Work, *, payload_bytes: int = 0) -> bool:
        """Queue work that keeps ``payload_bytes`` alive, without blocking; False when the inbox is full."""
        with self._wake:
            fits = self._bytes + payload_bytes <= self._max_bytes and len(self._queue) < self._depth
            if fits:
                self._queue.append((work, payload_bytes))
                self._bytes += payload_bytes
                self._accepted += 1
                self._wake.notify()
        if not fits:
            self._metrics.count("fleet_inbox_refused")
        return fits

    def put_latest(self, name: str, work: Work) -> None:
        """Have ``work`` done after everything put so far, also when full; replaces what waits as ``name``."""
        with self._wake:
            self._latest.pop(name, None)  # its new place is behind the others
            self._latest[name] = _Latest(work=work, after=self._accepted)
            self._wake.notify()

    def close(self) -> None:
        """Stop after the work at hand."""
        self._closing.set()
        with self._wake:
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        next_tick_s = 0.0
        while not self._closing.is_set():
            if time.monotonic() >= next_tick_s:
                self._guarded(self._tick)
                next_tick_s = time.monotonic() + TICK_S
            taken = self._take()
            if taken is None:
                continue
            work, payload_bytes = taken
            self._guarded(work)
            with self._wake:
                self._bytes -= payload_bytes

    def _take(self) -> tuple[Work, int] | None:
        """What is next; None when nothing came within ``TICK_S``."""
        with self._wake:
            if not (self._queue or self._latest or self._closing.is_set()):
                self._wake.wait(TICK_S)
            name, latest = next(iter(self._latest.items()), ("", None))
            if latest is not None and latest.after <= self._accepted - len(self._queue):
                del self._latest[name]
                return latest.work, 0
            return self._queue.popleft() if self._queue else None

    def _guarded(self, work: Work) -> None:
        """One broken message or a database that is away must not end the office."""
        try:
            work()
        except Exception:  # noqa: BLE001  counted and logged with its traceback: the next message is served
            self._metrics.count("fleet_inbox_failed")
            _log.exception("inbox_work_failed")
