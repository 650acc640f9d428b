"""Pure core: what a headset said of frames that left, held against what came, cell by cell and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.calibration import Shares, bins, brier, brier_skill, calibration_error, memory, rolling_base

FPS = 30.0
BASE_FRAMES = 900
AFTER_CHANGE_S = 5.0
LEAST_SHARE, MOST_SHARE = 0.1, 0.9
LEAST_SKILL, MOST_ERROR = 0.2, 0.05
INDEPENDENT = (
    0.15  # of the correlation of neighbours: one of 0.15 leaves a fiftieth of the error to be told ahead
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One cell's frames that left: what was stated, what came, what the base said, and which follow a change."""

    trace: str
    deadline_ms: float
    stated: Shares
    came: Shares
    base: Shares
    changed: Shares

    @property
    def counts(self) -> bool:
        """Whether its answers come in time sometimes and sometimes not."""
        return len(self.came) > 0 and bool(LEAST_SHARE <= self.came.mean() <= MOST_SHARE)


def told(
    *,
    trace: str,
    deadline_ms: float,
    at_s: Shares,
    stated: Shares,
    remote_ms: Shares,
    changes_s: Sequence[float],
) -> Told:
    """Of frames that left, in order: when, what was stated, and when the worker's answer came (infinite: never)."""
    came = (remote_ms <= deadline_ms).astype(np.float64)
    changed: Shares = np.zeros(len(at_s))
    for change_s in changes_s:
        changed[(at_s >= change_s) & (at_s < change_s + AFTER_CHANGE_S)] = 1
    return Told(
        trace=trace,
        deadline_ms=deadline_ms,
        stated=stated,
        came=came,
        base=rolling_base(came, window=BASE_FRAMES),
        changed=changed,
    )


def cell_row(cell: Told) -> dict[str, Any]:
    """A cell in numbers; where the forecast has little skill, with a note of what there was to tell."""
    found = figures(cell.stated, cell.came, cell.base)
    hangs = memory(cell.came)
    return {
        "trace": cell.trace,
        "deadline_ms": cell.deadline_ms,
        **found,
        "memory": None if hangs is None else round(hangs, 4),
        **_note(found["skill"], hangs),
    }


def _note(skill: float | None, hangs: float | None) -> dict[str, str]:
    if skill is None or skill > LEAST_SKILL:
        return {}
    if hangs is None or abs(hangs) < INDEPENDENT:
        why = "outcomes are as good as independent: their share is all that earlier ones tell, and the base knows it"
    else:
        why = "outcomes hang together, by their lag-one correlation, more than the forecast makes of it"
    return {"note": why}


def figures(stated: Shares, came: Shares, base: Shares) -> dict[str, Any]:
    """Brier, skill and calibration error; None where there are no frames."""
    if not len(came):
        return {"frames": 0, "came": None, "brier": None, "skill": None, "error": None}
    skill = brier_skill(stated, came, base=base)
    return {
        "frames": len(came),
        "came": round(float(came.mean()), 4),
        "brier": round(brier(stated, came), 4),
        "skill": None if skill is None else round(skill, 4),
        "error": round(calibration_error(stated, came), 4),
    }


def judged(cells: Sequence[Told], *, where: str = "") -> dict[str, Any]:
    """All cells together, those frames that follow a change, and the aims."""
    empty: Shares = np.zeros(0)
    stated, came, base, changed = (
        np.concatenate([empty, *(getattr(cell, name) for cell in cells)])
        for name in ("stated", "came", "base", "changed")
    )
    after = changed > 0
    together = {
        "all": figures(stated, came, base),
        "after_changes": figures(stated[after], came[after], base[after]),
    }
    words = {"all": "all cells", "after_changes": "5 s after changes"}
    return {
        "together": together,
        "bins": bins(stated, came) if len(came) else [],
        "bins_after_changes": bins(stated[after], came[after]) if after.any() else [],
        "aims": [aim for name, found in together.items() for aim in _aims(where + words[name], found)],
    }


def _aims(where: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    skill, error = found["skill"], found["error"]
    return [
        {
            "what": f"Brier skill against the rolling base rate, {where}",
            "at_least": LEAST_SKILL,
            "measured": skill,
            "met": skill is not None and skill > LEAST_SKILL,
        },
        {
            "what": f"expected calibration error, {where}",
            "at_most": MOST_ERROR,
            "measured": error,
            "met": error is not None and error <= MOST_ERROR,
        },
    ]
