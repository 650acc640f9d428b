"""Pure core: one policy in one cell, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.deadline_frames import Column, Frames
from bench.paired import interval_of_difference
from edge_node.energy import Power

CHOSEN = "deadline"
BLOCK_FRAMES = 150  # five seconds
PERCENTS = (50, 95, 99, 99.9)
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of one policy."""

    frames: Frames
    switches: int
    uplink_bytes: int
    busy_ns: int
    seconds: float
    hedge_start_ms: float  # after capture, when a run here usually has to begin at the latest


def row(runs: Sequence[Ran], together: Mapping[str, Frames], *, policy: str, power: Power) -> dict[str, Any]:
    """The figures of a policy; ``together`` has the frames of all policies of the cell, for the differences."""
    own = together[policy]
    count, seconds = len(own.hit), sum(run.seconds for run in runs)
    found: dict[str, Any] = {
        "frames": count,
        "hit": _share(own.hit),
        "unanswered": int(own.unanswered.sum()),
        "carried": _share(own.carried),
        "by_worker": _share(own.by_worker),
        "local_runs": _share(own.local_runs),
        "wasted_runs": _share(own.wasted_runs),
        "host_late": _share(own.host_late),
        "switches_per_min": round(60 * sum(run.switches for run in runs) / seconds, 2),
        "uplink_bytes_per_s": round(sum(run.uplink_bytes for run in runs) / seconds),
        "joules_per_frame": round(joules(runs, own, power=power) / count, 5),
        "local_busy_share": round(sum(run.busy_ns for run in runs) / seconds / 1e9, 4),
        "age_p50_ms": _at(own.age_ms, 50),
        "age_p99_ms": _at(own.age_ms, 99),
        **{f"p{percent:g}_ms": _at(own.latency_ms, percent) for percent in PERCENTS},
        "remote_p90_ms": remote_p90_ms(own),
        "hedge_start_ms": round(float(np.median([run.hedge_start_ms for run in runs])), 3),
    }
    for name in ("hit", "by_worker"):
        found[f"{name}_less_{CHOSEN}"] = _apart(name, own, together[CHOSEN])
    return found


def joules(runs: Sequence[Ran], frames: Frames, *, power: Power) -> float:
    """What the frames cost the headset, by the model of ``edge_node.energy``; replies awaited at once are awaited once."""
    sent = int((~np.isnan(frames.remote_ms)).sum())
    awake_s = min(float(frames.awake_ms.sum()) / 1000, sum(run.seconds for run in runs))
    chip_ns = sum(run.busy_ns for run in runs) + sent * power.encode_ns
    uplink_bytes = sum(run.uplink_bytes for run in runs)
    return power.run_j(chip_ns) + power.radio_j(payload_bytes=uplink_bytes, awake_ns=round(awake_s * 1e9))


def remote_p90_ms(frames: Frames) -> float | None:
    """From capture until nine of ten answers of the worker were here; None where that many never came."""
    sent = frames.remote_ms[~np.isnan(frames.remote_ms)]
    if not len(sent):
        return None
    at = float(np.quantile(sent, 0.9, method="higher"))
    return round(at, 3) if np.isfinite(at) else None


def _share(column: Column) -> float:
    return round(float(column.mean()), 5)


def _at(column: Column, percent: float) -> float | None:
    return round(float(np.nanpercentile(column, percent)), 3) if len(column) else None


def pooled(cells: Sequence[Mapping[str, Frames]], *, policy: str) -> dict[str, Any]:
    """One policy over all cells, each of equal weight by its frames."""
    found: dict[str, Any] = {"policy": policy}
    for name in ("hit", "by_worker", "local_runs"):
        found[name] = _share(np.concatenate([getattr(cell[policy], name) for cell in cells]))
    for name in ("hit", "by_worker"):
        ours = np.concatenate([cell[policy].blocks(name, frames=BLOCK_FRAMES) for cell in cells])
        theirs = np.concatenate([cell[CHOSEN].blocks(name, frames=BLOCK_FRAMES) for cell in cells])
        found[f"{name}_less_{CHOSEN}"] = _interval(ours, theirs)
    return found


def _apart(name: str, own: Frames, chosen: Frames) -> list[float]:
    ours, theirs = own.blocks(name, frames=BLOCK_FRAMES), chosen.blocks(name, frames=BLOCK_FRAMES)
    return _interval(ours, theirs)


def _interval(ours: Column, theirs: Column) -> list[float]:
    frames = np.full(len(ours), float(BLOCK_FRAMES))
    return [round(value, 5) for value in interval_of_difference(ours, theirs, frames=frames)]
