"""``eval hands`` end to end on real photos: the figures it promises, and what it says when it cannot."""

import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from inference.evaluate_hands import hands

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
