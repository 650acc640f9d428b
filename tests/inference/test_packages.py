"""Packages: named by content, every byte checked, canaries answered within tolerance, risky files tried apart."""

import json
import shutil
import sys
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference import child
from inference.child import open_in_child
from inference.errors import InferenceError, ModelPackageError
from inference.packages import golden as golden_module
from inference.packages.golden import check_golden, read_golden
from inference.packages.package import PackageFacts, build_package, list_packages, open_package
from inference.quantize.photo_sources import photo_paths
from inference.runtimes.registry import open_runtime
from inference.tflite.graph import read_graph
from inference.tflite.write import pack

FACTS = PackageFacts(
    name="hand-landmark",
    version="1.0",
    task="hands",
    quantisation="float16",
    tolerances=(4.0, 0.1, 0.1, 0.01),
    licence="Apache-2.0",
)


@pytest.fixture(scope="module")
def runtime():
    return open_runtime("litert")


@pytest.fixture(scope="module")
def canaries(models_dir):
    rng = np.random.default_rng(3)
    return [[rng.random((1, 224, 224, 3), np.float32)] for _ in range(3)]


@pytest.fixture(scope="module")
def built(models_dir, canaries, runtime, tmp_path_factory):
    out = tmp_path_factory.mktemp("store")
    model = models_dir / "hand_landmark_lite.tflite"
    return build_package(model, facts=FACTS, golden_inputs=canaries, runtime=runtime, out=out)


@pytest.fixture
def copied(built, tmp_path):
    directory = tmp_path / built.digest
    shutil.copytree(built.directory, directory)
    return directory


def _with_zeroed_weights(path: Path) -> bytes:
    document = read_graph(path).unpack()
    for buffer in document.buffers:
        if buffer.data is not None and len(buffer.data) > 1000:
            buffer.data = np.zeros_like(buffer.data)
    return pack(document)


def test_a_package_is_named_by_its_manifest_and_opens(built):
    opened = open_package(built.directory)
    assert opened.digest == built.directory.name
    assert opened.manifest == built.manifest
    assert opened.model_path.is_file()
    assert [file.role for file in opened.manifest.files] == ["model", "golden"]


def test_the_same_content_built_twice_is_one_package(built, models_dir, canaries, runtime):
    model = models_dir / "hand_landmark_lite.tflite"
    out = built.directory.parent
    again = build_package(model, facts=FACTS, golden_inputs=canaries, runtime=runtime, out=out)
    assert again.digest == built.digest
    assert [package.digest for package in list_packages(out, tell=pytest.fail)] == [built.digest]
    assert [path.name for path in out.iterdir()] == [built.digest]


def test_other_facts_make_another_package(built, models_dir, canaries, runtime, tmp_path):
    model = models_dir / "hand_landmark_lite.tflite"
    facts = replace(FACTS, version="1.1")
    other = build_package(model, facts=facts, golden_inputs=canaries, runtime=runtime, out=tmp_path)
    assert other.digest != built.digest
    assert other.manifest.model_digest == built.manifest.model_digest


def test_chunks_are_hashed_one_by_one(built):
    file = built.manifest.file("model")
    assert file.chunk_bytes == 61_440
    assert len(file.chunk_sha256) == -(-file.bytes // file.chunk_bytes)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("flip a model byte", "hashes to"),
        ("cut the model", "bytes, the manifest says"),
        ("lose the golden vectors", "missing from the package"),
        ("edit the manifest", "it was altered"),
        ("lose the manifest", "holds no model package"),
    ],
)
def test_an_altered_package_does_not_open(copied, damage, reason):
    model, manifest = copied / "hand_landmark_lite.tflite", copied / "manifest.json"
    content = bytearray(model.read_bytes())
    if damage == "flip a model byte":
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    elif damage == "cut the model":
        model.write_bytes(content[:-1])
    elif damage == "lose the golden vectors":
        (copied / "golden.npz").unlink()
    elif damage == "edit the manifest":
        manifest.write_bytes(manifest.read_bytes().replace(b"Apache-2.0", b"Apache-2.1"))
    else:
        manifest.unlink()
    with pytest.raises(ModelPackageError, match=reason):
        open_package(copied)


def test_a_damaged_package_hides_none_of_the_others_and_is_told_of(copied):
    for digit in "0f":
        (copied.parent / (digit * 64)).mkdir()
    (copied.parent / ("f" * 64) / "manifest.json").write_text("{}")
    told = []
    assert [package.digest for package in list_packages(copied.parent, tell=told.append)] == [copied.name]
    assert [line.split(":")[0] for line in told] == [f"left out package {digit * 12}" for digit in "0f"]


@pytest.mark.parametrize(
    ("name", "says"), [("photo.jpg", "not a folder"), ("none", "not a folder"), ("empty", "no photo")]
)
def test_photos_are_looked_for_in_a_folder_only(tmp_path, name, says):
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InferenceError, match=says):
        photo_paths(tmp_path / name)


def test_a_manifest_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ModelPackageError, match="malformed"):
        open_package(tmp_path)


def test_a_manifest_cannot_reach_outside_its_folder(copied, tmp_path):
    document = json.loads((copied / "manifest.json").read_bytes())
    document["files"][0]["name"] = "../../etc/passwd"
    elsewhere = tmp_path / "package"
    elsewhere.mkdir()
    (elsewhere / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ModelPackageError, match="malformed"):
        open_package(elsewhere)


def test_too_few_canaries_are_refused(models_dir, canaries, runtime, tmp_path):
    model = models_dir / "hand_landmark_lite.tflite"
    with pytest.raises(ModelPackageError, match="at least 3"):
        build_package(model, facts=FACTS, golden_inputs=canaries[:2], runtime=runtime, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_tolerance_is_needed_for_every_output(models_dir, canaries, runtime, tmp_path):
    facts = replace(FACTS, tolerances=(1.0,))
    model = models_dir / "hand_landmark_lite.tflite"
    with pytest.raises(ModelPackageError, match="one per output"):
        build_package(model, facts=facts, golden_inputs=canaries, runtime=runtime, out=tmp_path)


def test_a_failed_build_leaves_nothing_behind(models_dir, canaries, runtime, tmp_path):
    facts = replace(FACTS, name="Not A Name")
    model = models_dir / "hand_landmark_lite.tflite"
    with pytest.raises(ModelPackageError, match="contract"):
        build_package(model, facts=facts, golden_inputs=canaries, runtime=runtime, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_publishing_engine_agrees_with_its_own_golden_vectors(built, runtime):
    report = check_golden(built, runtime)
    assert report.passed
    assert set(report.differences.values()) == {0.0}


def test_zeroed_weights_disagree_with_the_golden_vectors(built, models_dir, runtime, tmp_path):
    model = tmp_path / "hand_landmark_lite.tflite"
    model.write_bytes(_with_zeroed_weights(built.model_path))
    swapped = replace(built, directory=tmp_path)
    shutil.copy(built.golden_path, tmp_path)
    report = check_golden(swapped, runtime)
    assert not report.passed
    assert "golden vectors disagree" in report.reasons[0]


def test_a_model_that_does_not_load_fails_its_golden_vectors_with_that_reason(built, runtime, tmp_path):
    (tmp_path / "hand_landmark_lite.tflite").write_bytes(b"no model")
    shutil.copy(built.golden_path, tmp_path)
    report = check_golden(replace(built, directory=tmp_path), runtime)
    assert "does not answer its canaries" in report.reasons[0]


def test_golden_vectors_that_unpack_to_all_of_the_memory_are_refused_before_they_are_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(golden_module, "MAX_UNPACKED_BYTES", 1000)
    np.savez_compressed(tmp_path / "golden.npz", input_0_0=np.zeros(1000, np.float32))
    with pytest.raises(ModelPackageError, match="unpacks to"):
        read_golden(tmp_path / "golden.npz", output_names=["a"])


def _damaged_stream(path):
    """An archive whose directory is whole and whose compressed bytes are not."""
    np.savez_compressed(path, input_0_0=np.random.default_rng(1).random(5000))
    content = bytearray(path.read_bytes())
    content[200:240] = b"\xff" * 40
    path.write_bytes(content)


def _boastful(path):
    """An array that claims to be larger than any memory."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("input_0_0.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize(
    "spoil",
    [_damaged_stream, _boastful, lambda path: path.write_bytes(b"PK"), lambda path: path.write_bytes(b"")],
    ids=["damaged stream", "boastful header", "no archive", "empty"],
)
def test_golden_vectors_that_cannot_be_unpacked_are_a_damaged_package(tmp_path, spoil):
    spoil(tmp_path / "golden.npz")
    with pytest.raises(ModelPackageError, match="no golden vectors"):
        read_golden(tmp_path / "golden.npz", output_names=["a"])


def test_golden_vectors_with_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "golden.npz", input_0_0=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelPackageError, match="no golden vectors"):
        read_golden(tmp_path / "golden.npz", output_names=["a"])


def test_a_good_model_opens_in_a_child(built):
    report = open_in_child(built.model_path, runtime="litert")
    assert report.passed, report


def test_a_file_that_does_not_load_is_refused_in_a_child(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"\x00" * 5000)
    report = open_in_child(tmp_path / "model.tflite", runtime="litert")
    assert report.outcome == "refused"
    assert "not a .tflite model" in report.detail


@pytest.mark.parametrize(
    ("behaviour", "outcome", "detail"),
    [
        ("import os; os.abort()", "crashed", "SIGABRT"),
        ("import sys; sys.exit(7)", "crashed", "exit code 7"),
        ("import threading; threading.Event().wait()", "hung", "killed"),
    ],
)
def test_a_child_that_dies_or_hangs_is_reported(monkeypatch, tmp_path, behaviour, outcome, detail):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{behaviour}'\n")
    fake.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(fake))
    report = open_in_child(tmp_path / "model.tflite", runtime="litert", timeout_s=2.0)
    assert (report.outcome, detail in report.detail) == (outcome, True)


def test_models_damaged_at_random_never_harm_the_parent(built, runtime, tmp_path):
    """Flipped bytes either refuse to load or fail in the child: the parent only reads reports."""
    rng = np.random.default_rng(11)
    content = bytearray(built.model_path.read_bytes())
    for position in rng.integers(8, 4000, 400):
        content[position] = int(rng.integers(256))
    (tmp_path / "model.tflite").write_bytes(content)
    report = open_in_child(tmp_path / "model.tflite", runtime="litert", timeout_s=20.0)
    assert report.outcome in {"refused", "crashed", "ok"}
    assert report.detail


def test_engines_agree_within_tolerance(built, runtime):
    golden = read_golden(built.golden_path, output_names=[row.name for row in built.manifest.golden])
    with closing(runtime.load(built.model_path, threads=2)) as model:
        for inputs, expected in zip(golden.inputs, golden.expected, strict=True):
            assert np.allclose(model.run(inputs)[1], expected[1], atol=0.1)
