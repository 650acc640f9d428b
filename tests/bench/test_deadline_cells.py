"""Cells: every script is one that a link takes, blocks are mixed and counted by the frames scheduled in them."""

from collections import Counter

import pytest

from bench.deadline_apart import kind_of
from bench.deadline_cells import CELLS, Block, _aim, _inside, cell_row, plan
from bench.deadline_host import host_of, place_of, worker_took_ms
from bench.world.host import HOSTS, at_ns
from bench.world.place import Place
from bench.world.site import RUN_MS


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


def frame(outcome="fresh_on_time", *, path="local", attempts=None, host_late=False, captured=True):
    """A line of a frame with one run from 0 to 9 ms, unless it is told otherwise."""
    if attempts is None:
        attempts = [tried(0.0, 9.0)]
    return {
        "scheduled_ns": 0,
        "outcome": outcome,
        "path": path,
        "mode": "local",
        "rtt_ms": 5.0,
        "latency_ms": 9.0,
        "deadline_ms": 33.0,
        "host_late": host_late,
        "captured": captured,
        "attempts": attempts,
    }


def tried(start_ms, end_ms, *, path="local", result="ok"):
    return {"path": path, "start_ms": start_ms, "end_ms": end_ms, "result": result}


def test_only_frames_scheduled_in_a_cells_own_blocks_are_its():
    blocks = [Block(cell="clean", seed=0), Block(cell="step", seed=1), Block(cell="clean", seed=2)]
    frames = [{"scheduled_ns": at} for at in range(30)]
    found = _inside("clean", blocks, [(0, 10), (10, 20), (20, 25)], frames)
    assert [frame["scheduled_ns"] for frame in found] == [*range(10), *range(20, 25)]


def test_a_row_names_the_frames_that_make_the_difference_and_the_note_too():
    slow = frame("late", attempts=[tried(0.0, 40.0)], host_late=True)
    real = [frame()] * 6 + [frame(path="offload")] * 2 + [slow] * 2
    simulated = [frame()] * 4 + [frame(path="offload")] * 6
    row = cell_row("clean", real, simulated=simulated, prompt=simulated)
    assert (row["real"]["hit_rate"], row["simulated"]["hit_rate"], row["points_apart"]) == (0.8, 1.0, 20.0)
    assert row["points_by_kind"] == {
        "by the worker": -40.0,
        "by the headset": 20.0,
        "late: the run took this host longer than the device": 20.0,
    }
    assert (row["real"]["host_late"], row["own_pixels"]["beyond_every_path"]) == (2, 2)
    aim = _aim([row])
    assert not aim["met"]
    assert aim["note"].startswith("clean: +20 points late: the run took this host longer than the device; ")
    same = cell_row("clean", simulated, simulated=simulated, prompt=simulated)
    assert _aim([same])["met"]
    assert "note" not in _aim([same])
    assert not _aim([cell_row("clean", real, simulated=(), prompt=())])["met"]


def test_every_frame_that_missed_has_the_first_reason_that_holds():
    gone = tried(1.0, None, path="offload", result="missing")
    reasons = {
        "no picture was captured": frame("carried_on_time", captured=False),
        "no way was begun": frame("carried_on_time", attempts=[]),
        "a result was here in time and not used": frame("carried_on_time"),
        "a way that was quick enough began too late": frame("carried_on_time", attempts=[tried(30.0, 39.0)]),
        "every way took longer than the deadline, or never came": frame("carried_on_time", attempts=[gone]),
    }
    assert {kind_of(line) for line in reasons.values()} == {f"carried: {why}" for why in reasons}
    assert kind_of(frame("none", attempts=[gone])).startswith("no answer: ")


def test_the_host_is_what_the_lines_show_of_it_and_prompt_where_they_show_nothing():
    assert host_of([]) is HOSTS["prompt"]
    begun = [frame(attempts=[tried(1.0 + (at == 0) * 8.0, 12.0)]) for at in range(101)]
    host = host_of(begun)
    assert host.run == HOSTS["prompt"].run
    assert at_ns(host.lateness, share=0.5) == 20_000
    assert at_ns(host.lateness, share=1.0) == 8_000_000
    slow = [frame(attempts=[tried(1.0, 31.0)], host_late=True)] * 25
    half = host_of(begun[:75] + slow)
    assert at_ns(half.run, share=0.7) == at_ns(HOSTS["prompt"].run, share=0.7)
    assert at_ns(half.run, share=0.8) == 30_000_000


def test_the_worker_took_what_a_reply_took_beyond_its_way_encoding_and_decoding():
    left = [frame(attempts=[tried(0.0, 17.7, path="offload")]) for _ in range(10)]
    place = place_of(left, otherwise=Place())
    assert place.worker_run_ms == pytest.approx((10.0,) * 6)
    assert place_of(left[:9], otherwise=Place()).worker_run_ms == RUN_MS
    missing = frame(attempts=[tried(0.0, 60.0, path="offload", result="missing")])
    assert worker_took_ms([missing]) == []
