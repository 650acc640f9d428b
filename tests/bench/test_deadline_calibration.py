"""Whether chances are kept: known answers of the measures, what counts as in time, and aims that can fail."""

import numpy as np
import pytest

from bench.calibration import bins, brier_skill, calibration_error, rolling_base
from bench.deadline_calibration import of_lines, play
from bench.deadline_told import Told, cell_row, judged
from bench.deadline_traces import step, wifi_jitter
from bench.world.run import Setting, lines, simulate
from schemas.documents import SplitConfig

COINS = np.random.default_rng(3).random(20_000)


def test_the_base_knows_only_what_came_before():
    came = np.array([1.0, 0.0, 0.0, 1.0])
    assert rolling_base(came, window=2).tolist() == [0.5, 1.0, 0.5, 0.0]


def test_who_knows_the_outcome_has_skill_1_and_who_says_the_base_has_none():
    came = (COINS < 0.4).astype(float)
    base = np.full(len(came), 0.4)
    assert brier_skill(came, came, base=base) == 1
    assert brier_skill(base, came, base=base) == 0
    assert brier_skill(1 - came, came, base=base) < -2
    assert brier_skill(base, np.ones(3), base=np.ones(3)) is None


def test_kept_chances_have_no_error_and_a_tenth_too_much_shows_as_a_tenth():
    stated = np.random.default_rng(4).random(20_000)
    came = (stated > COINS).astype(float)
    assert calibration_error(stated, came) < 0.015
    vain = np.full(20_000, 0.75)
    assert calibration_error(vain, (COINS < 0.65).astype(float)) == pytest.approx(0.1, abs=0.01)


def test_bins_count_every_frame_once_a_sure_one_too():
    rows = bins(np.array([0.0, 0.05, 0.95, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert [(row["from"], row["frames"], row["came"]) for row in rows] == [(0.0, 2, 0.0), (0.9, 2, 1.0)]


def told(stated, came, *, changed=0.0) -> Told:
    came = np.asarray(came, dtype=float)
    return Told(
        trace="step",
        deadline_ms=33,
        stated=np.asarray(stated, dtype=float),
        came=came,
        base=np.full(len(came), came.mean() if len(came) else 0.0),
        changed=np.full(len(came), changed),
    )


def test_aims_are_met_by_kept_chances_and_missed_by_vain_ones_and_by_nothing():
    came = (COINS[:1000] < 0.5).astype(float)
    assert [aim["met"] for aim in judged([told(came, came, changed=1)])["aims"]] == [True] * 4
    assert [aim["met"] for aim in judged([told(1 - came, came, changed=1)])["aims"]] == [False] * 4
    assert [aim["met"] for aim in judged([])["aims"]] == [False] * 4
    assert [aim["met"] for aim in judged([told(came, came)])["aims"]] == [True, True, False, False]


def test_a_cell_without_skill_says_whether_there_was_anything_to_tell():
    coins = (COINS[:2000] < 0.5).astype(float)
    row = cell_row(told(np.full(2000, 0.5), coins))
    assert abs(row["memory"]) < 0.1
    assert "independent" in row["note"]
    runs = np.repeat(coins[:40], 50)
    row = cell_row(told(np.full(2000, 0.5), runs))
    assert row["memory"] > 0.9
    assert "hang together" in row["note"]
    assert "note" not in cell_row(told(runs, runs))
    assert cell_row(told(np.ones(9), np.ones(9)))["memory"] is None


def test_cells_whose_answers_are_sure_do_not_count():
    assert told([0.5] * 4, [0, 1, 0, 1]).counts
    assert not told([0.9] * 20, [1] * 19 + [0]).counts
    assert not told([], []).counts


def test_a_step_is_told_as_it_comes_and_the_frames_behind_it_are_marked():
    cell = play((step(25), 25, 750))
    assert cell.counts
    assert 0.3 < cell.changed.mean() < 0.5
    assert cell.stated[cell.came > 0].mean() > 0.9 > 0.2 > cell.stated[cell.came == 0].mean()


def test_what_a_headset_says_of_the_worker_alone_stands_in_the_lines_of_frames_that_left():
    config = SplitConfig.model_validate({"policy": "offload", "deadline_ms": 33})
    seen, _ = simulate(Setting(link=wifi_jitter(10).link, config=config, frames=150))
    written = {line["frame_id"]: line for line in lines(seen)}
    left = [line for line in written.values() if line["mode"] == "offload"]
    assert len(left) > 100
    assert all(line["p_remote"] == round(seen.p_remote[line["frame_id"]], 4) for line in left)
    told_by_lines = of_lines(list(written.values()), begin_ns=0, changes_s=(2.0,))
    assert len(told_by_lines.came) == len(left)
    assert 0.5 < told_by_lines.came.mean() < 1.0
    assert told_by_lines.changed.sum() > 0
    assert not any("p_remote" in line for line in written.values() if line["mode"] == "local")
