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
BLOCK_FRAMES = 300  # ten seconds: differences of neighbours hang together in blocks of five, not in these
PERCENTS = (50, 95, 99, 99.9)
NS_PER_MS = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of one policy."""

    frames: Frames
    switches: int
    uplink_bytes: int  # with pings and shadows
    downlink_bytes: int
    pictures: int  # encoded, with shadows
    awake_ns: int  # that the radio waited for replies, to pings and shadows too
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
        "downlink_bytes_per_s": round(sum(run.downlink_bytes for run in runs) / seconds),
        "joules_per_frame": round(joules(runs, power=power) / count, 5),
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


def joules(runs: Sequence[Ran], *, power: Power) -> float:
    """What the frames cost the headset, by the model of ``edge_node.energy``; replies awaited at once are awaited once.

    Whatever left for a frame counts, be it a picture, a shadow of one or a ping.
    """
    chip_ns = sum(run.busy_ns + run.pictures * power.encode_ns for run in runs)
    awake_ns = sum(min(run.awake_ns, round(run.seconds * NS_PER_S)) for run in runs)
    uplink_bytes = sum(run.uplink_bytes for run in runs)
    return power.run_j(chip_ns) + power.radio_j(payload_bytes=uplink_bytes, awake_ns=awake_ns)


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


def pooled(cells: Mapping[str, Sequence[Mapping[str, Frames]]], *, policy: str) -> dict[str, Any]:
    """One policy over many cells, given by trace, each of equal weight by its frames.

    Cells of one trace met the same link at the same time: their blocks are drawn together.
    """
    found: dict[str, Any] = {"policy": policy}
    every = [cell for cells_of_trace in cells.values() for cell in cells_of_trace]
    for name in ("hit", "by_worker", "local_runs"):
        found[name] = _share(np.concatenate([getattr(cell[policy], name) for cell in every]))
    for name in ("hit", "by_worker"):
        ours, theirs = (_blocks(cells, policy=each, name=name) for each in (policy, CHOSEN))
        frames = np.concatenate(
            [np.full(_count(several), float(BLOCK_FRAMES * len(several))) for several in cells.values()]
        )
        found[f"{name}_less_{CHOSEN}"] = _interval(ours, theirs, frames=frames)
    return found


def _blocks(cells: Mapping[str, Sequence[Mapping[str, Frames]]], *, policy: str, name: str) -> Column:
    """Sums over the blocks of each trace, all its cells together."""
    sums = [
        np.sum([cell[policy].blocks(name, frames=BLOCK_FRAMES) for cell in several], axis=0)
        for several in cells.values()
    ]
    return np.concatenate(sums)


def _count(several: Sequence[Mapping[str, Frames]]) -> int:
    """Blocks of one cell of a trace."""
    return len(several[0][CHOSEN].blocks("hit", frames=BLOCK_FRAMES))


def _apart(name: str, own: Frames, chosen: Frames) -> list[float]:
    ours, theirs = own.blocks(name, frames=BLOCK_FRAMES), chosen.blocks(name, frames=BLOCK_FRAMES)
    return _interval(ours, theirs, frames=np.full(len(ours), float(BLOCK_FRAMES)))


def _interval(ours: Column, theirs: Column, *, frames: Column) -> list[float]:
    return [round(value, 5) for value in interval_of_difference(ours, theirs, frames=frames)]
