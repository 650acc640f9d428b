"""The blocks of named links that a real site played, played again by the simulated one: ``simulate_blocks``."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.deadline_cells import BLOCK_S, CELLS, DEADLINE_MS, SETTLE_S, Block
from bench.deadline_real import policy_here
from bench.world.run import Change, Setting, simulate
from edge_node.outcome import Outcome
from headway.link_script import spec_of
from headway.link_spec import LinkSpec
from schemas.documents import SplitConfig

FPS = 30.0
NS_PER_S = 1_000_000_000


def simulate_blocks(blocks: Sequence[Block]) -> Mapping[str, float]:
    """Share of frames fresh and in time by cell; the blocks in their order, each with the seed of its link."""
    changes = tuple(
        Change(at_s=SETTLE_S + BLOCK_S * number, link=spec_of(CELLS[block.cell]), seed=block.seed)
        for number, block in enumerate(blocks)
    )
    config = SplitConfig.model_validate({"policy": policy_here(), "deadline_ms": DEADLINE_MS})
    seconds = SETTLE_S + BLOCK_S * len(blocks)
    setting = Setting(link=LinkSpec(), config=config, frames=round(seconds * FPS), changes=changes)
    seen, _ = simulate(setting)
    frames: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for flight in seen.flights:
        number = int((flight.scheduled_ns / NS_PER_S - SETTLE_S) // BLOCK_S)
        if 0 <= number < len(blocks) and flight.answer is not None:
            cell = blocks[number].cell
            frames[cell] += 1
            hits[cell] += flight.answer.outcome is Outcome.FRESH_ON_TIME
    return {cell: round(hits[cell] / count, 5) for cell, count in frames.items()}
