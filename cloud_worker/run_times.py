"""Pure core: how long answers of each kind lately took at this worker, so that hopeless ones are not begun.

A kind is a task, the kind of message and how many regions it names: a picture needs another time than a part of the
same model, and one whose hands are known no search for them. Samples weigh half as much after ``HALF_LIFE_NS`` and are
forgotten after ``MEMORY_NS``. With fewer than ``FEWEST`` nothing is known,
so nothing is refused for it: a cold first run, or a stall after which every request would be refused and none could
show that it is over, must not close the worker. Reads no clock; whoever shares one between threads holds a lock
around it.
"""

from bisect import bisect_left
from collections import deque
from itertools import accumulate

from cloud_worker.request import Request, Work
from schemas.messages import Frame, Task

HALF_LIFE_NS = 1_000_000_000
MEMORY_NS = 3_000_000_000
FEWEST = 8
_LIMIT = 64

_MOST_REGIONS = 4  # more of them are one kind

Kind = tuple[Task, type[Work], int]


class RunTimes:
    """The last runs of each kind."""

    def __init__(self, *, half_life_ns: int = HALF_LIFE_NS, limit: int = _LIMIT) -> None:
        self._half_life_ns = half_life_ns
        self._limit = limit
        self._runs: dict[Kind, _Runs] = {}

    def add(self, took_ns: int, *, kind: Kind, now_ns: int) -> None:
        """Note one answer that took ``took_ns`` of a slot and ended at ``now_ns``."""
        runs = self._runs.get(kind)
        if runs is None:
            runs = self._runs[kind] = _Runs(half_life_ns=self._half_life_ns, limit=self._limit)
        runs.add(took_ns, now_ns=now_ns)

    def at(self, fraction: float, *, kind: Kind, now_ns: int) -> int | None:
        """Nanoseconds that this fraction of the runs stayed within; None while too few are known."""
        runs = self._runs.get(kind)
        return None if runs is None else runs.at(fraction, now_ns=now_ns)


def kind_of(request: Request) -> Kind:
    """The kind of run that a request asks for."""
    message = request.message
    regions = min(len(message.rois), _MOST_REGIONS) if isinstance(message, Frame) else 0
    return request.header.task, type(message), regions


class _Runs:
    """The runs of one kind. Weights fall alike, so an answer holds until a run is added or forgotten."""

    def __init__(self, *, half_life_ns: int, limit: int) -> None:
        self._half_life_ns = half_life_ns
        self._samples: deque[tuple[int, int]] = deque(maxlen=limit)  # took and ended, oldest first
        self._known: dict[float, int | None] = {}

    def add(self, took_ns: int, *, now_ns: int) -> None:
        self._samples.append((took_ns, now_ns))
        self._known.clear()

    def at(self, fraction: float, *, now_ns: int) -> int | None:
        while self._samples and now_ns - self._samples[0][1] >= MEMORY_NS:
            self._samples.popleft()
            self._known.clear()
        if fraction not in self._known:
            self._known[fraction] = self._quantile(fraction)
        return self._known[fraction]

    def _quantile(self, fraction: float) -> int | None:
        if len(self._samples) < FEWEST:
            return None
        newest_ns = self._samples[-1][1]
        runs = sorted(self._samples)
        reached = list(accumulate(2 ** ((ended_ns - newest_ns) / self._half_life_ns) for _, ended_ns in runs))
        took_ns, _ = runs[bisect_left(reached, fraction * reached[-1])]
        return took_ns
