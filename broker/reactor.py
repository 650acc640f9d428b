"""One event loop thread that drives any number of sessions.

Shell: owns one thread, one selector and one wake-up pipe. It knows nothing of
MQTT. In each turn sockets come before timers, so that a process that was itself
stopped for a while reads what arrived before it calls the other side dead.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from broker.errors import RoadMisuse
from observability import log

Call = Callable[[], None]
SocketHandler = Callable[[bool, bool], None]  # (readable, writable)

_log = log.get("broker.reactor")


class Timer:
    """A call at a later time that can be taken back."""

    __slots__ = ("call", "due_ns")

    def __init__(self, call: Call, *, due_ns: int) -> None:
        self.call: Call | None = call
        self.due_ns = due_ns

    def cancel(self) -> None:
        """Take the call back; harmless when it already ran."""
        self.call = None


class Reactor:
    """An event loop on its own thread; `start` it once, `stop` it once."""

    def __init__(self, *, name: str = "road") -> None:
        self.errors = 0
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wakeups)
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._wake_lock = threading.Lock()
        self._woken = False
        self._running = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-reactor", daemon=True)

    def __enter__(self) -> Reactor:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def here(self) -> bool:
        """Whether the caller runs on the reactor's own thread."""
        return threading.current_thread() is self._thread

    @property
    def running(self) -> bool:
        """Whether the loop was started and not stopped."""
        return self._running

    @property
    def now_ns(self) -> int:
        """The loop's clock: monotonic nanoseconds."""
        return time.monotonic_ns()

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        self._thread.start()

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """End the thread; calls that still wait are not made."""
        if not self._running:
            return
        self._running = False
        self._wake()
        if not self.here:
            self._thread.join(timeout_s)

    def call_soon(self, call: Call) -> None:
        """Make `call` on the loop; from any thread."""
        self._calls.append(call)
        if not self.here:
            self._wake()

    def call_later(self, delay_s: float, call: Call) -> Timer:
        """Make `call` after `delay_s` seconds; on the loop's thread only."""
        self._only_here("call_later")
        timer = Timer(call, due_ns=self.now_ns + round(max(0.0, delay_s) * 1e9))
        heapq.heappush(self._timers, (timer.due_ns, next(self._order), timer))
        return timer

    def watch(self, sock: socket.socket, handler: SocketHandler, *, write: bool = False) -> None:
        """Call `handler` when `sock` can be read (and, with `write`, written)."""
        self._only_here("watch")
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        if sock.fileno() in self._selector.get_map():
            self._selector.modify(sock, events, handler)
        else:
            self._selector.register(sock, events, handler)

    def unwatch(self, sock: socket.socket) -> None:
        """Forget `sock`; call it before the socket is closed."""
        self._only_here("unwatch")
        with contextlib.suppress(KeyError, ValueError):  # already forgotten or already closed
            self._selector.unregister(sock)

    def _only_here(self, name: str) -> None:
        if self._thread.is_alive() and not self.here:
            raise RoadMisuse(f"Reactor.{name} belongs to the loop's thread: use call_soon to get there")

    def _wake(self) -> None:
        with self._wake_lock:
            if self._woken:
                return
            self._woken = True
        # A full pipe already wakes the loop; a closed one has no loop to wake.
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_write.send(b"\0")

    def _drain_wakeups(self, _readable: bool, _writable: bool) -> None:  # noqa: FBT001  a SocketHandler
        # Both under the lock: a byte sent between the two would be read while `_woken` stays set, and
        # every later wake-up would be lost.
        with self._wake_lock:
            with contextlib.suppress(BlockingIOError):  # another turn already read it
                self._wake_read.recv(64)
            self._woken = False

    def _run(self) -> None:
        try:
            while self._running:
                self._turn()
        finally:
            self._selector.close()
            self._wake_read.close()
            self._wake_write.close()

    def _turn(self) -> None:
        for key, mask in self._selector.select(self._patience_s()):
            handler: SocketHandler = key.data
            self._guard(handler, bool(mask & selectors.EVENT_READ), bool(mask & selectors.EVENT_WRITE))
        now_ns = self.now_ns
        while self._timers and self._timers[0][0] <= now_ns:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._guard(timer.call)
        for _ in range(len(self._calls)):  # what these calls add waits for the next turn
            self._guard(self._calls.popleft())

    def _patience_s(self) -> float | None:
        if self._calls:
            return 0.0
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, (self._timers[0][0] - self.now_ns) / 1e9)

    def _guard(self, call: Callable[..., None], *args: bool) -> None:
        """One session's fault must not stop the others: count it and say it."""
        try:
            call(*args)
        except Exception:  # noqa: BLE001  one session must not stop the others
            self.errors += 1
            _log.error("a callback failed", trace=traceback.format_exc())  # plain: a rich one takes seconds
