"""Four named links in randomised blocks on a real site, and how far a simulator of the same blocks is from them. Shell.

Every block begins its cell's script anew with a seed of its own. The simulator plays the same blocks twice: on a prompt
host, and where host and worker are as slow as they were seen to be in each block; the aim is about the second, both are reported, and every kind of
frame that makes a difference is named. Without a simulator the figures of the real half stand alone and the aim is not
met.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from bench.deadline_apart import apart, came_of, note_of
from bench.deadline_host import place_of
from bench.deadline_judge import own_pixels
from bench.deadline_real import policy_here
from bench.deadline_stage import Plan, Stage, prepare
from bench.deadline_witness import Witness
from bench.world.place import Place
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


Event = Mapping[str, Any]
Lines = Mapping[str, Sequence[Event]]  # of frames, by cell


class Simulate(Protocol):
    """Plays the blocks on a virtual clock."""

    def __call__(self, blocks: Sequence[Block], *, places: Sequence[Place]) -> Lines:
        """The lines of the frames that were scheduled in each cell's blocks."""


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
    real = {cell: _inside(cell, blocks, spans, frames) for cell in CELLS}
    places = _places(spans, frames)
    progress("the same blocks, simulated")
    simulated = simulate(blocks, places=places) if simulate else {}
    prompt = simulate(blocks, places=[Place()] * len(blocks)) if simulate else {}
    rows = [
        cell_row(cell, real[cell], simulated=simulated.get(cell, ()), prompt=prompt.get(cell, ()))
        for cell in CELLS
    ]
    return {
        "policy": chosen.policy,
        "device_class": chosen.device_class,
        "deadline_ms": DEADLINE_MS,
        "block_s": BLOCK_S,
        "blocks": [
            {"cell": block.cell, "seed": block.seed, "place": asdict(place)}
            for block, place in zip(blocks, places, strict=True)
        ],
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


def _places(spans: Sequence[tuple[int, int]], frames: Sequence[Event]) -> list[Place]:
    """Where each block was played; what a block says nothing of is as it was in all of them."""
    over_all = place_of(frames, otherwise=Place())
    return [
        place_of([frame for frame in frames if begin <= frame["scheduled_ns"] < end], otherwise=over_all)
        for begin, end in spans
    ]


def _inside(
    cell: str, blocks: Sequence[Block], spans: Sequence[tuple[int, int]], frames: Sequence[Event]
) -> list[Event]:
    """The frames that were scheduled in the blocks of one cell."""
    own = [span for block, span in zip(blocks, spans, strict=True) if block.cell == cell]
    return [frame for frame in frames if any(begin <= frame["scheduled_ns"] < end for begin, end in own)]


def cell_row(
    cell: str, real: Sequence[Event], *, simulated: Sequence[Event], prompt: Sequence[Event]
) -> dict[str, Any]:
    """All blocks of one cell; ``prompt``: simulated too, on a host that is never late."""
    sides = {"real": came_of(real), "simulated": came_of(simulated)}
    return {
        "cell": cell,
        **sides,
        "simulated_prompt_hit_rate": came_of(prompt)["hit_rate"],
        **apart(sides["real"], sides["simulated"]),
        "own_pixels": own_pixels(real),
        "latency_ms": quantiles(
            [frame["latency_ms"] for frame in real if frame["outcome"] != "none"], (50, 95, 99)
        ),
    }


def _aim(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    distances = [row["points_apart"] for row in rows]
    worst = None if None in distances else max(distances)
    met = worst is not None and worst <= MOST_POINTS
    far = [note_of(row, cell=row["cell"]) for row in rows if (row["points_apart"] or 0) > MOST_POINTS]
    return {
        "what": "points between real and simulated hit rate, worst cell",
        "at_most": MOST_POINTS,
        "measured": worst,
        "met": met,
        **({"note": "; ".join(far)} if far else {}),
    }
