"""Four named links in randomised blocks on a real site, and how far a simulator of the same blocks is from them. Shell.

Every block begins its cell's script anew with a seed of its own; ``blocks`` in the result is all that a simulator
needs to play the same. Without a simulator the figures of the real half stand alone and the aim is not met.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.deadline_judge import own_pixels
from bench.deadline_real import policy_here
from bench.deadline_stage import Plan, Stage, prepare
from bench.deadline_witness import Witness
from headway.report import quantiles

HEADSET = "hs-1"
DEADLINE_MS = 33.0  # at 50 ms all four are met to the last frame, and nothing could differ
BLOCK_S = 15.0
BLOCKS = {"quick": 1, "full": 6}  # of each cell
SETTLE_S = 6.0
SEED = 4
MOST_POINTS = 2.0
NS_PER_S = 1e9

Script = tuple[Mapping[str, Any], ...]

CELLS: Mapping[str, Script] = MappingProxyType(
    {
        "clean": ({"what": "delay", "ms": 1.5},),
        "jitter": ({"what": "delay", "ms": 2.0}, {"what": "jitter", "ms": 5.0, "kind": "lognormal"}),
        "step": (
            {"what": "delay", "ms": 1.5},
            {"what": "delay", "at_s": 5.0, "ms": 15.0},
            {"what": "delay", "at_s": 10.0, "ms": 1.5},
        ),
        "outage": ({"what": "delay", "ms": 1.5}, {"what": "cut", "at_s": 5.0, "for_s": 4.0}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One cell for ``BLOCK_S`` seconds; ``seed`` is that of its link."""

    cell: str
    seed: int


Simulate = Callable[[Sequence[Block]], Mapping[str, float]]  # cell -> share of frames fresh and in time


def measure(
    *, scale: str = "quick", progress: Callable[[str], None] = print, simulate: Simulate | None = None
) -> dict[str, Any]:
    """Play the blocks; compare with ``simulate`` where one is given.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: the headset did not begin.
    """
    blocks = plan(each=BLOCKS[scale], seed=SEED)
    chosen = Plan(policy=policy_here(), deadline_ms=DEADLINE_MS)
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        with Witness() as witness, Stage(material, {HEADSET: chosen}, name="cells") as stage:
            time.sleep(SETTLE_S)
            spans = [_play(stage, block, progress=progress) for block in blocks]
            frames = [line for line in stage.finish() if line["kind"] == "frame"]
        host = witness.facts()
    simulated = simulate(blocks) if simulate else {}
    rows = [cell_row(cell, blocks, spans, frames, simulated=simulated.get(cell)) for cell in CELLS]
    return {
        "policy": chosen.policy,
        "device_class": chosen.device_class,
        "deadline_ms": DEADLINE_MS,
        "block_s": BLOCK_S,
        "blocks": [{"cell": block.cell, "seed": block.seed} for block in blocks],
        "rows": rows,
        "host": host,
        "aims": [_aim(rows)],
    }


def plan(*, each: int, seed: int) -> list[Block]:
    """So many blocks of each cell, mixed; equal seeds give equal plans."""
    cells = [cell for cell in CELLS for _ in range(each)]
    random.Random(seed).shuffle(cells)
    return [Block(cell=cell, seed=number) for number, cell in enumerate(cells)]


def _play(stage: Stage, block: Block, *, progress: Callable[[str], None]) -> tuple[int, int]:
    progress(f"block {block.seed + 1}: {block.cell}")
    stage.links[HEADSET].follow(CELLS[block.cell], seed=block.seed)
    begin_ns = time.monotonic_ns()
    time.sleep(BLOCK_S)
    return begin_ns, time.monotonic_ns()


def cell_row(
    cell: str,
    blocks: Sequence[Block],
    spans: Sequence[tuple[int, int]],
    frames: Sequence[Mapping[str, Any]],
    *,
    simulated: float | None,
) -> dict[str, Any]:
    """All blocks of one cell."""
    own = [span for block, span in zip(blocks, spans, strict=True) if block.cell == cell]
    inside = [frame for frame in frames if any(begin <= frame["scheduled_ns"] < end for begin, end in own)]
    outcomes = Counter(frame["outcome"] for frame in inside)
    real = outcomes["fresh_on_time"] / len(inside) if inside else None
    apart = None if real is None or simulated is None else round(100 * abs(real - simulated), 2)
    return {
        "cell": cell,
        "frames": len(inside),
        "outcomes": dict(outcomes),
        "paths": dict(Counter(frame["path"] for frame in inside)),
        "host_late": sum(bool(frame["host_late"]) for frame in inside),
        "own_pixels": own_pixels(inside),
        "latency_ms": quantiles(
            [frame["latency_ms"] for frame in inside if frame["outcome"] != "none"], (50, 95, 99)
        ),
        "real_hit_rate": None if real is None else round(real, 5),
        "simulated_hit_rate": simulated,
        "points_apart": apart,
    }


def _aim(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    apart = [row["points_apart"] for row in rows]
    worst = None if None in apart else max(apart)
    return {
        "what": "points between real and simulated hit rate, worst cell",
        "at_most": MOST_POINTS,
        "measured": worst,
        "met": worst is not None and worst <= MOST_POINTS,
    }
