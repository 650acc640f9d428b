"""``headway demo --split``: what it promises, what it refuses, and once, whole."""

import json
import subprocess
import sys

import pytest

from headway.split_check import kind_of, sensible_placement
from headway.split_scene import HEADSET, split_report, summary
from inference.split.model import split_model
from schemas.placements import Placement
from tests.headway.door import refused

ROW = {
    "start": 20,
    "end": 57,
    "kind": "headset, worker, headset",
    "frames": 24,
    "identical": True,
    "bytes_up": 63_000,
    "bytes_down": 5000,
}
CLAIMS = {HEADSET: {"simulated": True}}


def line(frame_id, *, path="split", outcome="fresh_on_time", latency_ms=20.0):
    return {
        "kind": "frame",
        "headset": HEADSET,
        "frame_id": frame_id,
        "path": path,
        "outcome": outcome,
        "latency_ms": latency_ms,
        "age_ms": latency_ms,
        "captured": True,
        "skipped": False,
        "model": "factory",
        "host_late": False,
    }


LINES = [line(0, path="local"), line(1), line(2, latency_ms=30.0)]


def demo(*arguments, timeout_s=170):
    command = [sys.executable, "-m", "headway", "demo", "--split", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_the_report_names_the_placement_its_bytes_and_each_paths_times():
    report = split_report(LINES, claims=CLAIMS, row=ROW, model="a" * 64)
    split = report["split"]
    assert split["placement"] == {"head_end": 20, "tail_start": 57, "kind": "headset, worker, headset"}
    assert (split["bytes_up_per_frame"], split["bytes_down_per_frame"]) == (63_000, 5000)
    assert split["paths"]["split"] == {"frames": 2, "p50": 25.0, "p99": 29.9}
    assert split["paths"]["local"]["frames"] == 1
    assert (split["identical_to_local"], split["checked_frames"], split["simulated"]) == (True, 24, True)
    assert report["shortfalls"] == []


@pytest.mark.parametrize(
    ("lines", "claims", "row", "text"),
    [
        (LINES, CLAIMS, {**ROW, "identical": False}, "differ from those of the whole"),
        (LINES[:1], CLAIMS, ROW, "no frame was answered in parts"),
        ([*LINES, line(3, outcome="none", path="none")], CLAIMS, ROW, "1 frames were left without an answer"),
        (LINES, {}, ROW, "gave no summary"),
    ],
)
def test_what_was_promised_and_not_kept_is_a_shortfall(lines, claims, row, text):
    (found,) = split_report(lines, claims=claims, row=row, model="a" * 64)["shortfalls"]
    assert text in found


@pytest.mark.parametrize(
    ("identical", "text"), [(True, "24 frames identical to local"), (False, "24 frames compared, NOT all")]
)
def test_the_line_at_the_end_says_no_more_than_the_comparison_found(identical, text, tmp_path):
    row = {**ROW, "identical": identical}
    assert text in summary(split_report(LINES, claims=CLAIMS, row=row, model="a" * 64), out=tmp_path)


def test_the_chosen_placement_keeps_both_ends_here_and_sends_the_fewest_bytes_of_each_half(models_dir):
    for variant in ("full", "lite"):
        split = split_model((models_dir / f"hand_landmark_{variant}.tflite").read_bytes())
        placement = sensible_placement(split.cuts)
        by_position = {cut.position: cut.payload_bytes for cut in split.cuts}
        last = split.cuts[-1].position
        assert 0 < placement.start <= last // 2 < placement.end < last
        assert by_position[placement.start] == min(
            size for position, size in by_position.items() if 0 < position <= last // 2
        )
        assert kind_of(placement, split) == "headset, worker, headset"
        assert kind_of(Placement(start=0, end=last), split) == "all at the worker, from tensors"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("--seconds", "3"), "at least 10"), (("--source", "0"), "leave --source out")],
)
def test_what_cannot_be_played_is_refused_as_usage(arguments, text, tmp_path):
    shown = refused("demo", "--split", *arguments, "--out", str(tmp_path))
    assert shown.exit_code == 2
    assert text in shown.stderr


@pytest.mark.timeout(180)
def test_one_model_runs_in_two_places_and_every_compared_frame_is_identical(
    models_dir, photos, mosquitto_binary, tmp_path
):
    shown = demo("--seconds", "12", "--json", "--out", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report == json.loads((tmp_path / "report.json").read_text())
    split = report["split"]
    assert split["identical_to_local"] is True
    assert split["checked_frames"] >= 20
    assert split["paths"]["split"]["frames"] > 0
    assert 0 < split["bytes_down_per_frame"] < split["bytes_up_per_frame"]
    (entry,) = report["headsets"]
    assert entry["none"] == 0
    assert "ran at the worker" in shown.stderr
