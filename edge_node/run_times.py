"""Pure core: what runs of this headset's engine take: usually, by the newest; at worst, by very many.

Whole runs are told apart by the regions they look into: with none the palm detector runs too, and it can be known before.
Heads and tails, which are told apart by where the model is cut, take a share of a whole run until they were measured. What an engine took before it was warm stands in
until a later run has ended. Times are passed in.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from edge_node.device_class import Thermal
from edge_node.estimates.local_times import CAUTION, LocalTimes, RunRow
from edge_node.estimates.quantiles import Quantiles
from edge_node.jobs import JobKind

WARM_UP = 2  # first runs of an engine, which are slower than any later one
FEW = 20  # runs: one in so many is longer than all before, hardly one a quarter longer; with fewer the prior may hold
MOST_REGIONS = 2  # more of them count as so many
PARTS = (JobKind.HEAD, JobKind.TAIL)
ANY_WHOLE = "whole"
WHOLE_IN = tuple(
    f"whole in {regions}" for regions in range(MOST_REGIONS + 1)
)  # names of whole runs, by regions

WHOLE = (ANY_WHOLE, *WHOLE_IN)


class RunTimes:
    """Of the engine in place. ``prior_ns`` answers for whole runs until there was one."""

    def __init__(self, *, prior_ns: int) -> None:
        self._prior_ns = prior_ns
        self._recent: defaultdict[str, Quantiles] = defaultdict(lambda: Quantiles(prior_ns=prior_ns))
        self._many = LocalTimes(prior_ns=prior_ns)
        self._restored: Sequence[RunRow] = ()  # of this engine, from before the start
        self._ended: Counter[str] = Counter()  # runs of this engine, until it is warm
        self.version = 0  # grows with all that is learned or forgotten

    def forget(self) -> None:
        """Another engine runs from now on; until it was measured, the newest whole runs stand in."""
        self.version += 1
        self._restored = ()
        self._ended.clear()
        self._many.forget()
        for name in [name for name in self._recent if name not in WHOLE]:
            del self._recent[name]

    def whole_rows(self) -> list[RunRow]:
        """All that is known of whole runs at worst, to be kept."""
        return [row for row in self._many.rows() if row.kind in WHOLE_IN]

    def restore(self, rows: Sequence[RunRow]) -> None:
        """Know what was kept of whole runs of this engine; its warm-up forgets none of that."""
        self.version += 1
        self._restored = [row for row in rows if row.kind in WHOLE_IN]
        self._many.restore(self._restored)

    def forget_parts(self, cut: int = 0) -> None:
        """Take the parts at one cut for their share of a whole run again, until they are measured anew."""
        for kind in PARTS:
            self._drop((_part(kind, cut),))

    def add(
        self,
        kind: JobKind,
        duration_ns: int,
        *,
        regions: int,
        cut: int = 0,
        thermal: Thermal,
        encoding: bool,
    ) -> None:
        """A run ended; ``encoding``: frames were encoded and sent during it; ``cut``: the placement of a part."""
        is_whole = kind is JobKind.WHOLE
        what = ANY_WHOLE if is_whole else _part(kind, cut)
        if self._ended[what] <= WARM_UP:
            if self._ended[what] == WARM_UP:
                self._drop(WHOLE if is_whole else (what,))
                if is_whole:
                    self._many.restore(self._restored)
            self._ended[what] += 1
        self.version += 1
        name = what
        if is_whole:
            name = WHOLE_IN[min(regions, MOST_REGIONS)]
            self._recent[ANY_WHOLE].add(duration_ns)
        self._recent[name].add(duration_ns)
        self._many.add(name, thermal, duration_ns, encoding=encoding)

    def usual_ns(
        self,
        kind: JobKind,
        fraction: float,
        *,
        regions: int | None = None,
        share: float = 1.0,
        cut: int = 0,
    ) -> int:
        """What this fraction of the newest runs did not exceed, whatever they looked into where that is not said.

        ``share`` of a whole run stands for a part that was not measured at this ``cut``.
        """
        known = None if kind is JobKind.WHOLE else self._recent.get(_part(kind, cut))
        if known is not None:
            return known.at(fraction)
        whole_ns = self._whole(regions).at(fraction)
        return whole_ns if share == 1.0 else round(share * whole_ns)

    def newest(self, *, regions: int) -> Quantiles:
        """What the newest whole runs took; those that looked into so many regions, where there were any."""
        return self._whole(regions)

    def worst_ns(
        self, kind: JobKind, *, thermal: Thermal, regions: int = 0, share: float = 1.0, cut: int = 0
    ) -> int:
        """What a run takes at worst while it is so hot; ``share`` of a whole run stands for a part not measured."""
        if kind is not JobKind.WHOLE and (part := _part(kind, cut)) in self._recent:
            return self._many.p999(part, thermal)
        name = WHOLE_IN[min(regions, MOST_REGIONS)]
        worst_ns = self._many.p999(name, thermal)
        if self._many.count(name, thermal) < FEW:
            worst_ns = max(worst_ns, round(CAUTION * self._prior_ns))
        return round(share * worst_ns)

    def _whole(self, regions: int | None) -> Quantiles:
        known = None if regions is None else self._recent.get(WHOLE_IN[min(regions, MOST_REGIONS)])
        return self._recent[ANY_WHOLE] if known is None else known

    def _drop(self, names: Iterable[str]) -> None:
        self.version += 1
        for name in names:
            self._recent.pop(name, None)
            self._many.forget(name)


@lru_cache(maxsize=64)
def _part(kind: JobKind, cut: int) -> str:
    """Under which name runs of a part are kept."""
    return f"{kind.value} {cut}"
