"""Pure core: how long answers of each task lately took at this worker, so that hopeless ones are not begun.

Samples weigh half as much after ``HALF_LIFE_NS`` and are forgotten after ``MEMORY_NS``. With fewer than
``FEWEST`` nothing is known, so nothing is refused for it: a cold first run, or a stall after which every
request would be refused and none could show that it is over, must not close the worker. Reads no clock; whoever shares one between threads holds a lock around it.
"""

from collections import deque
from itertools import accumulate

from schemas.messages import Task

HALF_LIFE_NS = 1_000_000_000
MEMORY_NS = 3_000_000_000
FEWEST = 8
_LIMIT = 64


class RunTimes:
    """The last runs of each task."""

    def __init__(self, *, half_life_ns: int = HALF_LIFE_NS, limit: int = _LIMIT) -> None:
        self._half_life_ns = half_life_ns
        self._limit = limit
        self._runs: dict[Task, deque[tuple[int, int]]] = {}

    def add(self, took_ns: int, *, task: Task, now_ns: int) -> None:
        """Note one answer that took ``took_ns`` of a slot and ended at ``now_ns``."""
        self._runs.setdefault(task, deque(maxlen=self._limit)).append((took_ns, now_ns))

    def at(self, fraction: float, *, task: Task, now_ns: int) -> int | None:
        """Nanoseconds that this fraction of the runs stayed within; None while too few are known."""
        known = self._runs.get(task, ())
        runs = sorted((took_ns, now_ns - ended_ns) for took_ns, ended_ns in known)
        runs = [(took_ns, age_ns) for took_ns, age_ns in runs if age_ns < MEMORY_NS]
        if len(runs) < FEWEST:
            return None
        reached = list(accumulate(2 ** (-age_ns / self._half_life_ns) for _, age_ns in runs))
        wanted = fraction * reached[-1]
        return next(took_ns for (took_ns, _), weight in zip(runs, reached, strict=True) if weight >= wanted)
