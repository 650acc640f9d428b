"""Pure core: durations of every part of a model on one tier, at quantile levels.

Filled from measured prefixes, and from measured parts where there are some. Refuses values that are no
durations; never fills a gap by a guess about layers: a run of layers is not the sum of its layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationTable:
    """``ns[level, i, j]``: (L, M, M) float64, the part from position index i to j; zero where j <= i."""

    ns: Floats

    def __post_init__(self) -> None:
        if self.ns.ndim != 3 or self.ns.shape[1] != self.ns.shape[2] or not self.ns.size:
            raise PlacementError(f"durations must have the shape (levels, M, M), not {self.ns.shape}")
        if not np.isfinite(self.ns).all() or (self.ns < 0).any():
            raise PlacementError("durations must be finite and not negative: profile the model again")
        if (self.ns[1:] < self.ns[:-1]).any():
            raise PlacementError("durations must not fall from level to level: profile the model again")

    @classmethod
    def from_prefixes(
        cls,
        prefix_ns: Sequence[Sequence[float]] | Floats,
        *,
        suffix_ns: Sequence[Sequence[float]] | Floats | None = None,
        measured_ns: Mapping[tuple[int, int], Sequence[float]] | None = None,
    ) -> "DurationTable":
        """A table of t(i, j), never below zero, never falling from level to level.

        ``prefix_ns`` (L, M): durations of [0, position j). ``suffix_ns`` (L, M): of [position i, end).
        ``measured_ns``: parts that were timed themselves, by position indices.

        With suffixes t(i, j) = prefix(j) + suffix(i) - whole: entering at i costs what the suffix paid for it,
        leaving at j what the prefix paid. Without, t(i, j) = prefix(j) - prefix(i), which knows no such costs.
        A sum of quantiles is an estimate of the part's quantile, so what was timed goes before it.
        """
        prefix = _levels(prefix_ns, "prefixes")
        table = np.maximum(prefix[:, None, :] - prefix[:, :, None], 0.0)
        table[:, 0, :] = prefix
        if suffix_ns is not None:
            suffix = _levels(suffix_ns, "suffixes")
            if suffix.shape != prefix.shape:
                raise PlacementError(
                    f"prefixes are {prefix.shape}, suffixes {suffix.shape}: same cuts and levels"
                )
            entered = suffix[:, 1:, None] - prefix[:, None, -1:]
            table[:, 1:] = np.maximum(prefix[:, None, :] + entered, 0.0)
            table[:, 1:, -1] = suffix[:, 1:]
        for (start, end), values in (measured_ns or {}).items():
            table[:, start, end] = values
        table = np.triu(table, k=1)
        return cls(ns=np.maximum.accumulate(table, axis=0))


def _levels(values: Sequence[Sequence[float]] | Floats, what: str) -> Floats:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2:
        raise PlacementError(f"{what} must have one row a level and one value a position")
    if not np.isfinite(rows).all():
        raise PlacementError(f"{what} must be finite: profile the model again")
    return rows
