"""Pure core: quantiles of the newest so many durations, each counting alike. What fades with time is in ``sketch``."""

from bisect import bisect_right
from collections import deque


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
