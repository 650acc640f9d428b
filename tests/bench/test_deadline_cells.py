"""Cells: every script is one that a link takes, blocks are mixed and counted by the frames scheduled in them."""

from collections import Counter

from bench.deadline_cells import CELLS, Block, cell_row, plan


def test_every_cell_is_a_script_that_a_link_takes():
    from headway.link_script import spec_of  # noqa: PLC0415 - the counting is tested where no link is

    specs = {cell: spec_of(script) for cell, script in CELLS.items()}
    assert len(specs["step"].phases) == 3
    assert len(specs["outage"].cuts) == 1


def test_blocks_are_mixed_and_equal_for_equal_seeds():
    blocks = plan(each=3, seed=1)
    assert blocks == plan(each=3, seed=1)
    assert set(Counter(block.cell for block in blocks).values()) == {3}
    assert len({block.seed for block in blocks}) == len(blocks)


def test_a_cell_counts_the_frames_of_its_own_blocks():
    blocks = [Block(cell="clean", seed=0), Block(cell="step", seed=1)]
    frames = [
        {
            "scheduled_ns": at,
            "outcome": "fresh_on_time" if at else "late",
            "path": "local",
            "latency_ms": 9.0,
            "deadline_ms": 33.0,
            "host_late": not at,
            "captured": True,
            "attempts": [{"path": "local", "start_ms": 0.0, "end_ms": 9.0 if at else 40.0}],
        }
        for at in range(20)
    ]
    row = cell_row("clean", blocks, [(0, 10), (10, 20)], frames, simulated=0.89)
    assert (row["frames"], row["real_hit_rate"], row["points_apart"]) == (10, 0.9, 1.0)
    assert (row["host_late"], row["own_pixels"]["beyond_every_path"]) == (1, 1)
