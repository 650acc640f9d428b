"""The blocks of named links that a real site played, played again by the simulated one: ``simulate_blocks``."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bench.deadline_cells import BLOCK_S, CELLS, DEADLINE_MS, SETTLE_S, Block
from bench.deadline_real import policy_here
from bench.world.place import Place
from bench.world.run import Change, Setting, lines, simulate
from headway.link_script import spec_of
from headway.link_spec import LinkSpec
from schemas.documents import SplitConfig

FPS = 30.0
NS_PER_S = 1_000_000_000


def simulate_blocks(
    blocks: Sequence[Block], *, places: Sequence[Place]
) -> dict[str, list[Mapping[str, Any]]]:
    """Lines of frames by cell; the blocks in their order, each with its place and the seed of its link."""
    changes = tuple(
        Change(
            at_s=SETTLE_S + BLOCK_S * number, link=spec_of(CELLS[block.cell]), seed=block.seed, place=place
        )
        for number, (block, place) in enumerate(zip(blocks, places, strict=True))
    )
    config = SplitConfig.model_validate({"policy": policy_here(), "deadline_ms": DEADLINE_MS})
    seconds = SETTLE_S + BLOCK_S * len(blocks)
    setting = Setting(
        link=LinkSpec(),
        config=config,
        place=places[0],
        frames=round(seconds * FPS),
        changes=changes,
    )
    seen, _ = simulate(setting)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines(seen):
        number = int((cast("int", line["scheduled_ns"]) / NS_PER_S - SETTLE_S) // BLOCK_S)
        if 0 <= number < len(blocks):
            found.setdefault(blocks[number].cell, []).append(line)
    return found
