"""``eval hands`` end to end on real photos: the figures it promises, and what it says when it cannot."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from inference.evaluate_hands import hands
from inference.packages import PackageFacts, build_package
from inference.quantize import FloatEnds, QuantiseConfig
from inference.runtimes.registry import open_runtime

FIGURES = ["n_images", "n_hands", "n_matched", "recall", "precision", "median", "p90"]


@pytest.fixture(scope="module")
def app():
    evaluate = typer.Typer()
    evaluate.command("hands")(hands)
    return evaluate


@pytest.fixture
def run(app, models_dir):
    def call(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--models", str(models_dir)])

    return call


def test_float_finds_what_the_reference_found_in_every_photo(run, shared_data):
    oracle = shared_data / "oracle" / "hands.json"
    result = run("--images", shared_data / "hands", "--oracle", oracle, "--float-only", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert list(figures["float"]) == FIGURES
    assert figures["float"]["n_images"] == 25
    assert figures["float"]["recall"] >= 0.97
    assert figures["float"]["precision"] >= 0.97
    assert figures["float"]["median"] <= 0.012


@pytest.fixture(scope="module")
def few(shared_data, tmp_path_factory):
    """Three photos: two with hands, one in which the reference found none."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("mp_four_06aa70cc.jpg", "mp_none_00c84257.jpg", "mp_call_143f8b21.jpg"):
        shutil.copy(shared_data / "hands" / name, folder)
    return folder


def test_another_landmark_model_is_compared_on_the_same_regions(run, shared_data, few, models_dir):
    oracle = shared_data / "oracle" / "hands.json"
    lite = models_dir / "hand_landmark_lite.tflite"
    result = run("--images", few, "--oracle", oracle, "--int8", lite, "--json")
    assert result.exit_code == 0, result.output
    int8 = json.loads(result.stdout)["int8"]
    assert int8["n_matched"] == 3
    compared = int8["against_float"]
    assert compared["n_regions"] == 6
    assert 0 < compared["median"] < 0.06
    assert compared["n_empty_regions"] > 20
    assert compared["false_presences"] <= compared["false_presences_float"] + 2


def test_without_an_int8_model_one_is_made_and_judged_on_photos_it_never_saw(
    run, shared_data, few, tmp_path, monkeypatch
):
    # The search for the float ends has its own tests; here they are given, to save its time.
    ends = FloatEnds(stem=5, tail=9)
    monkeypatch.setattr("inference.quantize.QuantiseConfig", partial(QuantiseConfig, ends=ends))
    for name in ("mp_four_0c960166.jpg", "mp_rock_026fd791.jpg"):
        shutil.copy(shared_data / "hands" / name, tmp_path)
    for path in few.iterdir():
        shutil.copy(path, tmp_path)
    result = run("--images", tmp_path, "--oracle", shared_data / "oracle" / "hands.json", "--json")
    assert result.exit_code == 0, result.output
    int8 = json.loads(result.stdout)["int8"]
    assert list(int8)[:7] == FIGURES
    assert (int8["recall"], int8["precision"]) == (1, 1)
    assert int8["against_float"]["n_photos"] == int8["n_held_back"] == 5 - len(int8["calibrated_with"])
    assert int8["against_float"]["median"] <= 0.015
    assert int8["calibration"]["int8_operators"] > 30


def test_a_package_is_scored_by_its_model(run, shared_data, few, models_dir, tmp_path):
    facts = PackageFacts(
        name="hand-lite", version="1", task="hands", quantisation="float16", tolerances=(4.0, 0.1, 0.1, 0.01)
    )
    canaries = [[np.full((1, 224, 224, 3), shade, dtype=np.float32)] for shade in (0.1, 0.5, 0.9)]
    lite = models_dir / "hand_landmark_lite.tflite"
    runtime = open_runtime("litert")
    package = build_package(lite, facts=facts, golden_inputs=canaries, runtime=runtime, out=tmp_path)
    oracle = shared_data / "oracle" / "hands.json"
    result = run("--images", few, "--oracle", oracle, "--int8", package.directory, "--json")
    assert result.exit_code == 0, result.output
    int8 = json.loads(result.stdout)["int8"]
    assert (int8["model"], int8["package"], int8["n_matched"]) == ("hand-lite 1", package.digest, 3)
    package.model_path.write_bytes(b"altered")
    refused = run("--images", few, "--oracle", oracle, "--int8", package.directory, "--json")
    assert refused.exit_code == 1
    assert lite.name in refused.stderr


def test_too_few_photos_for_int8_leave_the_float_figures_and_the_reason(run, shared_data, few):
    result = run("--images", few, "--oracle", shared_data / "oracle" / "hands.json", "--json")
    figures = json.loads(result.stdout)
    assert result.exit_code == 1
    assert figures["float"]["recall"] == 1
    assert "at least 3 are needed" in figures["int8"]["refused"][0]
    assert "add photos" in result.stderr


def test_videos_are_scored_in_tracking_mode(run, shared_data, few, short_video):
    result = run(
        *("--images", few, "--oracle", shared_data / "oracle" / "hands.json", "--float-only", "--json"),
        *("--video", shared_data / "video", "--video-oracle", short_video),
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["video"]["float"]
    assert list(figures) == FIGURES
    assert figures["n_images"] == figures["n_hands"] == 20
    assert (figures["recall"], figures["precision"]) == (1, 1)
    assert figures["median"] <= 0.012


@pytest.fixture
def short_video(shared_data, tmp_path):
    """The reference of the first 20 frames of one video, as an oracle of its own."""
    document = json.loads((shared_data / "oracle" / "video_tracking.json").read_text())
    name = "video/mps_hand_landmarker_test_video.mp4"
    video = document["videos"][name]
    path = tmp_path / "video.json"
    path.write_text(json.dumps({"videos": {name: {**video, "frames": video["frames"][:20]}}}))
    return path


def test_without_json_a_table_is_printed(run, shared_data, few):
    result = run("--images", few, "--oracle", shared_data / "oracle" / "hands.json", "--float-only")
    assert result.exit_code == 0
    assert "recall" in result.stdout
    assert "1.0000" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--images", "none", "--oracle", "none"], 3, "none does not exist"),
        (["--images", ".", "--oracle", ".", "--video", "."], 2, "belong together"),
        (["--images", ".", "--oracle", ".", "--variant", "huge"], 3, "huge"),
        (["--images", ".", "--oracle", ".", "--float-only", "--int8", "."], 2, "drop it"),
        (["--images", ".", "--oracle", "."], 1, "cannot read the oracle"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr(run, arguments, code, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code
    assert reason in result.stderr
    assert result.stdout == ""


def test_a_photo_of_another_size_than_the_oracle_says_is_refused(run, few, tmp_path):
    oracle = tmp_path / "oracle.json"
    entry = {"width": 10, "height": 10, "hands": []}
    oracle.write_text(json.dumps({"images": {"photos/mp_four_06aa70cc.jpg": entry}}))
    result = run("--images", few, "--oracle", oracle, "--float-only")
    assert result.exit_code == 1
    assert "the oracle says 10 x 10" in result.stderr


def test_a_broken_photo_is_named(run, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    oracle = tmp_path / "oracle.json"
    oracle.write_text(json.dumps({"images": {"x/a.jpg": {"width": 10, "height": 10, "hands": []}}}))
    result = run("--images", tmp_path, "--oracle", oracle, "--float-only")
    assert result.exit_code == 1
    assert "cannot be decoded" in result.stderr
