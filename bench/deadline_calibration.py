"""Whether the chance that a headset states of a worker's answer is kept: ``measure(scale=...)``.

Every frame leaves, so that no choice hides what was stated of frames that stayed. The chance is that of the worker's
answer alone, said before the frame left; a late answer is awaited two seconds and counts as one that did not come in
time. Cells whose answers nearly always or nearly never come in time say little and are left out. The base to beat is
somebody who only counts: the share of the last half minute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np

from bench.calibration import Shares, bins, brier, brier_skill, calibration_error, rolling_base
from bench.deadline_frames import frames_of
from bench.deadline_traces import Trace, traces
from bench.world.run import Setting, simulate
from schemas.documents import SplitConfig

FRAMES = {"quick": 1800, "full": 4500}
DEADLINES_MS = (20, 25, 33, 40, 50)
FPS = 30.0
SETTLE_FRAMES = 60
BASE_FRAMES = 900
AFTER_CHANGE_S = 5.0
LEAST_SHARE, MOST_SHARE = 0.1, 0.9
LEAST_SKILL, MOST_ERROR = 0.2, 0.05
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One cell's frames that left: what was stated, what came, what the base said, and which follow a change."""

    trace: str
    deadline_ms: int
    stated: Shares
    came: Shares
    base: Shares
    changed: Shares

    @property
    def counts(self) -> bool:
        """Whether its answers come in time sometimes and sometimes not."""
        return len(self.came) > 0 and bool(LEAST_SHARE <= self.came.mean() <= MOST_SHARE)


def measure(*, scale: str = "quick", progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Rows of cells, both together, and the aims."""
    found, missing = traces(seconds=FRAMES[scale] / FPS)
    jobs = [(trace, deadline_ms, FRAMES[scale]) for trace in found for deadline_ms in DEADLINES_MS]
    told = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for cell in pool.map(play, jobs):
            told.append(cell)
            progress(f"{len(told)} of {len(jobs)}: {cell.trace} at {cell.deadline_ms} ms")
    counting = [cell for cell in told if cell.counts]
    return {
        "traces_missing": missing,
        "base_s": BASE_FRAMES / FPS,
        "cells_left_out": [
            [cell.trace, cell.deadline_ms, round(float(cell.came.mean()), 4)]
            for cell in told
            if not cell.counts
        ],
        "rows": [cell_row(cell) for cell in counting],
        **judged(counting),
    }


def play(job: tuple[Trace, int, int]) -> Told:
    """Send every frame of a cell; ``job``: its trace, deadline and number of frames."""
    trace, deadline_ms, frames = job
    load = None if trace.load is None else replace(trace.load, budget_ms=float(deadline_ms))
    config = SplitConfig.model_validate({"policy": "offload", "deadline_ms": deadline_ms})
    seen, _ = simulate(Setting(link=trace.link, load=load, config=config, frames=frames, fps=FPS))
    remote_ms = frames_of(seen).remote_ms
    said = np.array([seen.p_remote.get(frame_id, np.nan) for frame_id in range(frames)])
    left = ~np.isnan(remote_ms) & ~np.isnan(said) & (np.arange(frames) >= SETTLE_FRAMES)
    came = (remote_ms[left] <= deadline_ms).astype(np.float64)
    at_s = (np.flatnonzero(left) + 1) / FPS
    return Told(
        trace=trace.name,
        deadline_ms=deadline_ms,
        stated=said[left],
        came=came,
        base=rolling_base(came, window=BASE_FRAMES),
        changed=_follows(at_s, trace.changes_s),
    )


def _follows(at_s: Shares, changes_s: Sequence[float]) -> Shares:
    """1 for those within five seconds after a change."""
    follows: Shares = np.zeros(len(at_s))
    for change_s in changes_s:
        follows[(at_s >= change_s) & (at_s < change_s + AFTER_CHANGE_S)] = 1
    return follows


def cell_row(cell: Told) -> dict[str, Any]:
    """A cell in numbers."""
    return {
        "trace": cell.trace,
        "deadline_ms": cell.deadline_ms,
        **figures(cell.stated, cell.came, cell.base),
    }


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


def judged(cells: Sequence[Told]) -> dict[str, Any]:
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
        "aims": [aim for name, found in together.items() for aim in _aims(words[name], found)],
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
