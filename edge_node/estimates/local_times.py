"""Pure core: how long this chip takes, per kind of job and thermal state, and what it takes at worst.

The latest safe local start hangs on the 99.9th percentile: it is read from at least ``ENOUGH`` paced runs during which
frames were encoded and sent as well; before, the longest run ever seen plus a quarter stands in. Durations are
counted in buckets one percent wide, reported by their upper edge: never too short, at most 1 % too long. Two
generations of ``ENOUGH`` runs are kept, so memory is bounded and what a chip did long ago is forgotten.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_node.device_class import Thermal

ENOUGH = 5_000
WORST = 0.999
CAUTION = 1.25
GROWTH = 1.01  # of one bucket to the next
MOST_BUCKET = 3_000  # two and a half hours
_LOG_GROWTH = math.log(GROWTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Runs by bucket, and the longest of them."""

    counts: dict[int, int]
    longest_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """All that is known of runs of one kind while the chip was so hot; of all, or of those with ``encoding``."""

    kind: str
    thermal: Thermal
    encoding: bool
    younger: Generation
    elder: Generation


@dataclass(slots=True, kw_only=True)
class _Histogram:
    counts: dict[int, int] = field(default_factory=dict)
    total: int = 0
    longest_ns: int = 0

    def add(self, duration_ns: int, bucket: int) -> None:
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total += 1
        self.longest_ns = max(self.longest_ns, duration_ns)

    def told(self) -> Generation:
        return Generation(counts=dict(self.counts), longest_ns=self.longest_ns)

    @classmethod
    def of(cls, told: Generation) -> "_Histogram":
        counts = dict(told.counts)
        return cls(counts=counts, total=sum(counts.values()), longest_ns=told.longest_ns)


class _Runs:
    """Two generations: the younger fills up, then takes the elder's place."""

    def __init__(self, younger: _Histogram | None = None, elder: _Histogram | None = None) -> None:
        self._younger = younger or _Histogram()
        self._elder = elder or _Histogram()
        self._sum_up()

    def add(self, duration_ns: int, bucket: int) -> None:
        if self._younger.total >= ENOUGH:
            self._elder, self._younger = self._younger, _Histogram()
        self._younger.add(duration_ns, bucket)
        self._sum_up()

    def told(self) -> tuple[Generation, Generation]:
        return self._younger.told(), self._elder.told()

    def _sum_up(self) -> None:
        self.total = self._younger.total + self._elder.total
        self.longest_ns = max(self._younger.longest_ns, self._elder.longest_ns)

    def at(self, fraction: float) -> int:
        """From the top down: what is asked for is mostly near it."""
        young, old = self._younger.counts, self._elder.counts
        longer_allowed = self.total - max(1, math.ceil(fraction * self.total - 1e-9))
        longer = 0
        for bucket in sorted(young.keys() | old.keys(), reverse=True):
            longer += young.get(bucket, 0) + old.get(bucket, 0)
            if longer > longer_allowed:
                return min(self.longest_ns, math.floor(GROWTH**bucket))
        return self.longest_ns


def _bucket(duration_ns: int) -> int:
    return math.ceil(math.log(max(1, duration_ns)) / _LOG_GROWTH)


class LocalTimes:
    """What jobs took on this device. ``kind`` is a ``JobKind``; ``prior_ns`` answers for what never ran."""

    def __init__(self, *, prior_ns: int) -> None:
        self._prior_ns = prior_ns
        self._all: defaultdict[tuple[str, Thermal], _Runs] = defaultdict(_Runs)
        self._encoding: defaultdict[tuple[str, Thermal], _Runs] = defaultdict(_Runs)
        self._known: dict[tuple[str, Thermal, bool, float], int] = {}  # read since the last run

    def add(self, kind: str, thermal: Thermal, duration_ns: int, *, encoding: bool) -> None:
        """A run ended; ``encoding``: frames were encoded and sent during it."""
        row = (kind, thermal)
        bucket = _bucket(duration_ns)
        self._all[row].add(duration_ns, bucket)
        if encoding:
            self._encoding[row].add(duration_ns, bucket)
        if self._known:
            self._known.clear()

    def at(self, kind: str, thermal: Thermal, fraction: float) -> int:
        """The duration that this fraction of the runs does not exceed; the prior where none ran.

        Never ran while throttled: what is known of the cool chip, which is too little, or the prior, if that is more.
        """
        runs = self._all.get((kind, thermal))
        if runs is not None:
            return self._read(runs, (kind, thermal, False, fraction))
        cool = self._all.get((kind, Thermal.NOMINAL))
        return self._prior_ns if cool is None else max(self._prior_ns, cool.at(fraction))

    def p999(self, kind: str, thermal: Thermal) -> int:
        """What a run takes at worst: the 99.9th percentile where enough ran, else the longest and a quarter more."""
        encoding = self._encoding.get((kind, thermal))
        if encoding is not None and encoding.total >= ENOUGH:
            return self._read(encoding, (kind, thermal, True, WORST))
        runs = self._all.get((kind, thermal))
        longest_ns = self.at(kind, thermal, 1.0) if runs is None else runs.longest_ns
        return round(CAUTION * longest_ns)

    def count(self, kind: str, thermal: Thermal, *, encoding: bool = False) -> int:
        """How many runs are remembered, or how many of them while frames were encoded."""
        runs = (self._encoding if encoding else self._all).get((kind, thermal))
        return 0 if runs is None else runs.total

    def forget(self, kind: str | None = None) -> None:
        """Another model runs from now on: forget one kind of job, or all."""
        for rows in (self._all, self._encoding):
            for row in [row for row in rows if kind in {None, row[0]}]:
                del rows[row]
        self._known.clear()

    def rows(self) -> list[RunRow]:
        """All that is known."""
        told = []
        for encoding, rows in ((False, self._all), (True, self._encoding)):
            for (kind, thermal), runs in rows.items():
                younger, elder = runs.told()
                told.append(
                    RunRow(kind=kind, thermal=thermal, encoding=encoding, younger=younger, elder=elder)
                )
        return told

    def restore(self, rows: Iterable[RunRow]) -> None:
        """Know these rows again; what was learned of their kinds since is forgotten."""
        for row in rows:
            known = self._encoding if row.encoding else self._all
            runs = _Runs(_Histogram.of(row.younger), _Histogram.of(row.elder))
            known[row.kind, row.thermal] = runs
        self._known.clear()

    def _read(self, runs: _Runs, key: tuple[str, Thermal, bool, float]) -> int:
        if key not in self._known:
            self._known[key] = runs.at(key[-1])
        return self._known[key]
