"""Pure core: whether chances that were stated before the outcome were kept: Brier skill, calibration error, bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
BINS = 10


def rolling_base(came: Shares, *, window: int) -> Shares:
    """Before each outcome, the share of the newest ``window`` ones that came: what somebody says who only counts.

    Before the first outcome it is a half.
    """
    total = np.concatenate([[0.0], np.cumsum(came)])
    ends = np.arange(len(came))
    begins = np.maximum(0, ends - window)
    counted = np.maximum(1, ends - begins)
    base: Shares = np.where(ends > 0, (total[ends] - total[begins]) / counted, 0.5)
    return base


def brier(stated: Shares, came: Shares) -> float:
    """Mean squared distance of what was stated from what came."""
    return float(np.mean((stated - came) ** 2))


def brier_skill(stated: Shares, came: Shares, *, base: Shares) -> float | None:
    """By how much of the base's error ours is smaller: 1 is perfect, 0 as good; None where the base does not err."""
    against = brier(base, came)
    return None if against == 0 else 1 - brier(stated, came) / against


def bins(stated: Shares, came: Shares) -> list[dict[str, Any]]:
    """By tenths of what was stated: how many, what was stated on average, and how often it came."""
    places = np.minimum(BINS - 1, (stated * BINS).astype(int))
    return [
        {
            "from": place / BINS,
            "frames": int((places == place).sum()),
            "stated": round(float(stated[places == place].mean()), 4),
            "came": round(float(came[places == place].mean()), 4),
        }
        for place in range(BINS)
        if (places == place).any()
    ]


def calibration_error(stated: Shares, came: Shares) -> float:
    """Distance of stated from come, by tenths, weighted by how many there are (ECE)."""
    rows = bins(stated, came)
    return float(sum(row["frames"] * abs(row["stated"] - row["came"]) for row in rows) / len(stated))


def memory(came: Shares) -> float | None:
    """How much an outcome tells of the next one: their correlation; None where all are alike.

    Outcomes that tell nothing of each other cannot be told ahead from earlier ones, by whomever.
    """
    before, after = came[:-1], came[1:]
    if len(before) < 2 or before.std() == 0 or after.std() == 0:
        return None
    return float(np.corrcoef(before, after)[0, 1])
