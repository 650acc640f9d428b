"""Pure core: what recent history says about run times and round trips.

Only what was measured enters; until there is history a stated prior stands in. Nothing here reads a clock.
"""

from bisect import bisect_right
from collections import deque

from schemas.messages import Timing

NS_PER_US = 1000


def transport_rtt_ns(*, sent_ns: int, received_ns: int, timing: Timing) -> int:
    """Send to reply, less what the worker says it spent on queue, decoding and running (never below 0)."""
    worked_ns = (timing.queue_us + timing.decode_us + timing.run_us) * NS_PER_US
    return max(0, received_ns - sent_ns - worked_ns)


class Quantiles:
    """Quantiles of the newest ``window`` durations; ``prior_ns`` answers until there is one."""

    def __init__(self, *, prior_ns: int, window: int = 240) -> None:
        self._prior_ns = prior_ns
        self._values: deque[int] = deque(maxlen=window)
        self._sorted: list[int] | None = None

    def add(self, duration_ns: int) -> None:
        """Take in one measurement."""
        self._values.append(duration_ns)
        self._sorted = None

    def at(self, fraction: float) -> int:
        """The smallest seen duration that at least ``fraction`` of the window does not exceed."""
        if not self._values:
            return self._prior_ns
        if self._sorted is None:
            self._sorted = sorted(self._values)
        index = min(len(self._sorted) - 1, int(fraction * len(self._sorted)))
        return self._sorted[index]

    def share_below(self, duration_ns: int) -> float:
        """The share of the window that is no longer than this; with no history, whether the prior is not."""
        if not self._values:
            return 1.0 if self._prior_ns <= duration_ns else 0.0
        if self._sorted is None:
            self._sorted = sorted(self._values)
        return bisect_right(self._sorted, duration_ns) / len(self._sorted)

    def __len__(self) -> int:
        return len(self._values)


class WindowedMin:
    """The smallest value of the last ``window_ns``: the part of a delay that is clock offset, not waiting."""

    def __init__(self, *, window_ns: int) -> None:
        self._window_ns = window_ns
        self._rising: deque[tuple[int, int]] = deque()  # (time, value), values strictly rising

    def add(self, value: int, *, now_ns: int) -> int:
        """Take in a value; returns the minimum of the window."""
        while self._rising and self._rising[-1][1] >= value:
            self._rising.pop()
        self._rising.append((now_ns, value))
        while self._rising[0][0] < now_ns - self._window_ns:
            self._rising.popleft()
        return self._rising[0][1]


class RttBook:
    """The newest round trip and its recent minimum, per worker. Holds ``limit`` workers, oldest out."""

    def __init__(self, *, window_ns: int = 10_000_000_000, limit: int = 64) -> None:
        self._window_ns = window_ns
        self._limit = limit
        self._last_ns: dict[str, int] = {}
        self._floors: dict[str, WindowedMin] = {}

    def add(self, worker: str, rtt_ns: int, *, now_ns: int) -> None:
        """Take in a transport round trip."""
        if worker not in self._floors and len(self._floors) >= self._limit:
            oldest = next(iter(self._floors))
            del self._floors[oldest], self._last_ns[oldest]
        floor = self._floors.setdefault(worker, WindowedMin(window_ns=self._window_ns))
        floor.add(rtt_ns, now_ns=now_ns)
        self._last_ns[worker] = rtt_ns

    def last_ns(self, worker: str | None) -> int | None:
        """The newest round trip to a worker; None where there is none."""
        return None if worker is None else self._last_ns.get(worker)
