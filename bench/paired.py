"""Pure core: figures of two that met the same blocks, and how sure their difference is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]
RESAMPLES = 2000
SEED = 7


def interval_of_difference(
    ours: Sums, theirs: Sums, *, frames: Sums, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """Share of ours less share of theirs: measured, and the bounds of its 95 % interval.

    All three hold one sum per block, in the same order: whole blocks are drawn anew, with both of a pair at once, so
    that frames which hang together stay together. Few blocks vary less when drawn from themselves than new ones would:
    the bounds are moved apart by as much.

    Raises:
        ValueError: there are no blocks, or they are not paired.
    """
    if not len(frames) or len(ours) != len(frames) or len(theirs) != len(frames):
        raise ValueError(
            f"{len(ours)}, {len(theirs)} and {len(frames)} blocks: give one sum per block of each"
        )
    apart = ours - theirs
    drawn = np.random.default_rng(SEED).integers(0, len(frames), size=(resamples, len(frames)))
    shares = apart[drawn].sum(axis=1) / frames[drawn].sum(axis=1)
    measured = apart.sum() / frames.sum()
    wider = np.sqrt(len(frames) / (len(frames) - 1)) if len(frames) > 1 else 1.0
    low, high = measured + wider * (np.quantile(shares, (0.025, 0.975)) - measured)
    return float(measured), float(low), float(high)
