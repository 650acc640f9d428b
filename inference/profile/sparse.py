"""Pure core: profile few cuts instead of all: which ones, what lies between them, and how wrong that is.

Cuts are chosen where the time between two neighbours is largest, so that no measured gap hides much. Between
them durations rise with the work of the operators. The error is stated by leaving out each measured cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from inference.profile.work import fitted_abscissa

Floats = npt.NDArray[np.float64]
Probe = Callable[[int], float]
MIN_CUTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseError:
    """Error of interpolated durations in percent of the measured ones; None with fewer than one cut inside."""

    cuts: int
    median_pct: float | None
    worst_pct: float | None


def choose_cuts(count: int, /, *, of: int, work: Floats, probe: Probe) -> tuple[int, ...]:
    """Indices of ``count`` positions out of ``of``: both ends, then again and again the middle of the largest gap.

    ``probe`` gives the duration up to an index; ``work`` (P,) rises and says where a gap's middle is.
    """
    known = {0: 0.0, of - 1: probe(of - 1)}
    while len(known) < min(count, of):
        order = sorted(known)
        gaps = [(known[right] - known[left], left, right) for left, right in pairwise(order)]
        _, left, right = max(gap for gap in gaps if gap[2] - gap[1] > 1)
        inside = np.arange(left + 1, right)
        middle = int(inside[np.argmin(np.abs(work[inside] - (work[left] + work[right]) / 2))])
        known[middle] = probe(middle)
    return tuple(sorted(known))


def interpolated(work: Floats, measured: Sequence[int], values: Sequence[float], /) -> Floats:
    """(P,) durations at every position from ``values`` at the indices ``measured``, which hold both ends.

    ``work``: (P, 3) of ``cumulative_work``. Between neighbours the values are monotone; at them they are kept.
    """
    abscissa = fitted_abscissa(work, measured, values)
    return np.interp(abscissa, abscissa[list(measured)], np.asarray(values, dtype=np.float64))


def leave_one_out(work: Floats, measured: Sequence[int], values: Sequence[float], /) -> SparseError:
    """What interpolation says of each inner measured position when it is left out, against what was measured."""
    errors = []
    for out in range(1, len(measured) - 1):
        if values[out] <= 0:
            continue
        rest = [index for place, index in enumerate(measured) if place != out]
        kept = [value for place, value in enumerate(values) if place != out]
        guess = float(interpolated(work, rest, kept)[measured[out]])
        errors.append(abs(guess - values[out]) / values[out] * 100)
    if not errors:
        return SparseError(cuts=len(measured), median_pct=None, worst_pct=None)
    return SparseError(cuts=len(measured), median_pct=float(np.median(errors)), worst_pct=max(errors))
