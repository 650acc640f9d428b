"""Pure core: quantiles of measured durations with their intervals, and which measurements count.

Randomness is passed in. Refuses to give a quantile that its samples cannot bear: it is None with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.99)
MAX_DRIFT = 0.1
_BEYOND = 2  # samples expected above a quantile before it is given
_RESAMPLES = 400
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """``value`` lies between ``low`` and ``high`` with 95 % confidence; all None with the reason why.

    The unit is that of the samples.
    """

    level: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def least_samples(level: float) -> int:
    """How many samples a quantile needs: two are expected above it, and no fewer than five."""
    return max(5, round(_BEYOND / (1 - level)))


def quantiles(
    samples: Sequence[float] | Floats, /, *, rng: np.random.Generator, levels: Sequence[float] = LEVELS
) -> tuple[Quantile, ...]:
    """Each level's quantile with its bootstrap interval, or None where there are too few samples."""
    values = np.asarray(samples, dtype=np.float64)
    enough = [level for level in levels if len(values) >= least_samples(level)]
    if not enough:
        return tuple(_missing(level, len(values)) for level in levels)
    drawn = rng.choice(values, size=(_RESAMPLES, len(values)))
    spread = np.quantile(drawn, enough, axis=1)
    outside = (1 - _CONFIDENCE) / 2
    rows = {}
    for level, resampled in zip(enough, spread, strict=True):
        low, high = np.quantile(resampled, (outside, 1 - outside))
        value = float(np.quantile(values, level))
        # An interval of resampled quantiles can miss a quantile that lies between two far samples.
        rows[level] = Quantile(
            level=level, value=value, low=min(float(low), value), high=max(float(high), value)
        )
    return tuple(rows.get(level) or _missing(level, len(values)) for level in levels)


def steady(
    reference_ns: Sequence[float] | Floats, /, *, max_drift: float = MAX_DRIFT
) -> npt.NDArray[np.bool_]:
    """Which blocks count: (n,) bool, those whose reference lies within ``max_drift`` of the median of all."""
    values = np.asarray(reference_ns, dtype=np.float64)
    if not len(values):
        return np.zeros(0, dtype=bool)
    middle = np.median(values)
    return np.asarray(np.abs(values - middle) <= max_drift * middle)


def _missing(level: float, count: int) -> Quantile:
    return Quantile(
        level=level,
        reason=f"{count} samples, at least {least_samples(level)} are needed: raise --samples",
    )
