"""``eval hands`` end to end on real photos: its figures, and what it says when it cannot.

The reference answers are made here; figures against another implementation are in test_reference_data.
"""

import json
import shutil
from functools import partial

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from inference.commands.evaluate import hands
from inference.packages.package import PackageFacts, build_package
from inference.quantize.photo_sources import read_photo
from inference.quantize.search import FloatEnds, QuantiseConfig
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import HandTask

TWO_HANDS, ONE_HAND, NO_HAND = "two.png", "right04.jpg", "none.png"
# How far the reference of these tests stands beside the task, as a share of a hand's longer side.
OFF = 0.01
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


@pytest.fixture(scope="module")
def task(palm_model, landmark_model):
    return HandTask(palm=palm_model, landmark=landmark_model)


def entry(image, hands):
    """A reference that saw each of these hands beside where the task sees it, by ``OFF`` of its longer side."""
    height, width = image.shape[:2]
    seen = [hand.landmarks[:, :2] * [width, height] for hand in hands]
    moved = [(points + [OFF * np.ptp(points, axis=0).max(), 0]) / [width, height] for points in seen]
    listed = [{"landmarks": [[x, y, 0.0] for x, y in points]} for points in moved]
    return {"width": width, "height": height, "hands": listed}


@pytest.fixture(scope="module")
def oracle(task, few, hand_photos, tmp_path_factory):
    """What a reference says of ``few`` and of the other free photos."""
    paths = [*few.iterdir(), *hand_photos.values()]
    images = {path.name: read_photo(path) for path in paths}
    entries = {f"photos/{name}": entry(image, task.run(image).hands) for name, image in images.items()}
    path = tmp_path_factory.mktemp("oracle") / "hands.json"
    path.write_text(json.dumps({"images": entries}))
    return path


@pytest.fixture(scope="module")
def few(hand_photos, tmp_path_factory):
    """Three photos: a hand with its mirror image, one hand, and a bare corner without any."""
    folder = tmp_path_factory.mktemp("photos")
    hand = cv2.imread(str(hand_photos["Histogram_Comparison_Source_0.jpg"]))
    cv2.imwrite(str(folder / TWO_HANDS), np.hstack([hand, hand[:, ::-1]]))
    shutil.copy(hand_photos[ONE_HAND], folder)
    corner = cv2.imread(str(hand_photos["Threshold_inRange_Tutorial_Result_input.jpeg"]))[:, :250]
    cv2.imwrite(str(folder / NO_HAND), corner)
    return folder


def test_float_is_scored_against_the_oracle(run, few, oracle):
    result = run("--images", few, "--oracle", oracle, "--float-only", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert list(figures["float"]) == FIGURES
    assert (figures["float"]["n_images"], figures["float"]["n_hands"]) == (3, 3)
    assert (figures["float"]["recall"], figures["float"]["precision"]) == (1, 1)
    assert figures["float"]["median"] == pytest.approx(OFF, abs=1e-5)


def test_hands_that_only_one_side_saw_cost_recall_and_precision(run, few, oracle, tmp_path):
    document = json.loads(oracle.read_text())
    two = document["images"][f"photos/{TWO_HANDS}"]["hands"]
    document["images"][f"photos/{NO_HAND}"]["hands"] = [two.pop()]
    (tmp_path / "hands.json").write_text(json.dumps(document))
    result = run("--images", few, "--oracle", tmp_path / "hands.json", "--float-only", "--json")
    figures = json.loads(result.stdout)["float"]
    assert (figures["n_hands"], figures["n_matched"]) == (3, 2)
    assert figures["recall"] == figures["precision"] == pytest.approx(2 / 3, abs=1e-6)


def test_another_landmark_model_is_compared_on_the_same_regions(run, oracle, few, models_dir):
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
    run, oracle, few, hand_photos, tmp_path, monkeypatch
):
    # The search for the float ends has its own tests; here they are given, to save its time.
    ends = FloatEnds(stem=5, tail=9)
    monkeypatch.setattr("inference.quantize.search.QuantiseConfig", partial(QuantiseConfig, ends=ends))
    for name in ("handSrc.jpg", "Threshold_inRange_Tutorial_Result_input.jpeg"):
        shutil.copy(hand_photos[name], tmp_path)
    for path in few.iterdir():
        shutil.copy(path, tmp_path)
    result = run("--images", tmp_path, "--oracle", oracle, "--json")
    assert result.exit_code == 0, result.output
    int8 = json.loads(result.stdout)["int8"]
    assert list(int8)[:7] == FIGURES
    assert (int8["recall"], int8["precision"]) == (1, 1)
    assert int8["against_float"]["n_photos"] == int8["n_held_back"] == 5 - len(int8["calibrated_with"])
    assert int8["against_float"]["median"] <= 0.015
    assert int8["calibration"]["int8_operators"] > 30


def test_a_package_is_scored_by_its_model(run, oracle, few, models_dir, tmp_path):
    facts = PackageFacts(
        name="hand-lite", version="1", task="hands", quantisation="float16", tolerances=(4.0, 0.1, 0.1, 0.01)
    )
    canaries = [[np.full((1, 224, 224, 3), shade, dtype=np.float32)] for shade in (0.1, 0.5, 0.9)]
    lite = models_dir / "hand_landmark_lite.tflite"
    runtime = open_runtime("litert")
    package = build_package(lite, facts=facts, golden_inputs=canaries, runtime=runtime, out=tmp_path)
    result = run("--images", few, "--oracle", oracle, "--int8", package.directory, "--json")
    assert result.exit_code == 0, result.output
    int8 = json.loads(result.stdout)["int8"]
    assert (int8["model"], int8["package"], int8["n_matched"]) == ("hand-lite 1", package.digest, 3)
    package.model_path.write_bytes(b"altered")
    refused = run("--images", few, "--oracle", oracle, "--int8", package.directory, "--json")
    assert refused.exit_code == 1
    assert lite.name in refused.stderr


def test_too_few_photos_for_int8_leave_the_float_figures_and_the_reason(run, oracle, few):
    result = run("--images", few, "--oracle", oracle, "--json")
    figures = json.loads(result.stdout)
    assert result.exit_code == 1
    assert figures["float"]["recall"] == 1
    assert "at least 3 are needed" in figures["int8"]["refused"][0]
    assert "add photos" in result.stderr


def test_videos_are_scored_in_tracking_mode(run, few, oracle, short_video):
    video, reference = short_video
    result = run(
        *("--images", few, "--oracle", oracle, "--float-only", "--json"),
        *("--video", video.parent, "--video-oracle", reference),
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["video"]["float"]
    assert list(figures) == FIGURES
    assert figures["n_images"] == figures["n_hands"] == 20
    assert (figures["recall"], figures["precision"]) == (1, 1)
    assert OFF / 2 < figures["median"] < 2.5 * OFF


@pytest.fixture
def short_video(task, hand_photos, tmp_path):
    """A video of 20 frames, a photo that moves, and what a reference that searches every frame anew says of it."""
    photo = cv2.imread(str(hand_photos["handSrc.jpg"]))
    height, width = photo.shape[:2]
    (tmp_path / "video").mkdir()
    path = tmp_path / "video" / "moves.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (width, height))
    for i in range(20):
        by = np.float32([[1, 0, 3 * i], [0, 1, -2 * i]])
        writer.write(cv2.warpAffine(photo, by, (width, height), borderMode=cv2.BORDER_REPLICATE))
    writer.release()
    reader = cv2.VideoCapture(str(path))
    frames = [cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB) for _ in range(20)]
    reader.release()
    seen = [entry(frame, task.run(frame).hands)["hands"] for frame in frames]
    document = {"width": width, "height": height, "fps": 25.0, "frames": seen}
    reference = tmp_path / "video.json"
    reference.write_text(json.dumps({"videos": {"video/moves.mp4": document}}))
    return path, reference


def test_without_json_a_table_is_printed(run, oracle, few):
    result = run("--images", few, "--oracle", oracle, "--float-only")
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
    wrong = {"width": 10, "height": 10, "hands": []}
    oracle.write_text(json.dumps({"images": {f"photos/{ONE_HAND}": wrong}}))
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
