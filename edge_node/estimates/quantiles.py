"""Pure core: quantiles of the newest so many durations, each counting alike. What fades with time is in ``sketch``."""

from bisect import bisect_left, bisect_right, insort
from collections import deque


class Quantiles:
    """Quantiles of the newest ``window`` durations; ``prior_ns`` answers until there is one."""

    def __init__(self, *, prior_ns: int, window: int = 240) -> None:
        self._prior_ns = prior_ns
        self._window = window
        self._values: deque[int] = deque()
        self._sorted: list[int] = []  # the same, by value

    def add(self, duration_ns: int) -> None:
        """Take in one measurement."""
        if len(self._values) == self._window:
            del self._sorted[bisect_left(self._sorted, self._values.popleft())]
        self._values.append(duration_ns)
        insort(self._sorted, duration_ns)

    def at(self, fraction: float) -> int:
        """The smallest seen duration that at least ``fraction`` of the window does not exceed."""
        ordered = self._sorted
        if not ordered:
            return self._prior_ns
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]

    def share_below(self, duration_ns: int) -> float:
        """The share of the window that is no longer than this; with no history, whether the prior is not."""
        if not self._sorted:
            return 1.0 if self._prior_ns <= duration_ns else 0.0
        return bisect_right(self._sorted, duration_ns) / len(self._sorted)

    def __len__(self) -> int:
        return len(self._values)
