"""The commands ``headway model``: on real models and photos, and against a real manager over HTTP."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from fleet_manager.api import create_app
from fleet_manager.artifacts import ArtifactStore
from fleet_manager.service import FleetService
from fleet_manager.store import Store
from inference.cli import evaluate, model
from inference.packages.making import Making, make_float_package
from inference.packages.package import open_package

runner = CliRunner()
DEADLINE_S = 20.0
PHOTOS = ("handSrc.jpg", "right04.jpg", "Histogram_Comparison_Source_0.jpg")


@pytest.fixture(scope="module")
def photos(hand_photos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(hand_photos[name], folder)
    return folder


@pytest.fixture(scope="module")
def package(photos, models_dir, tmp_path_factory):
    making = Making(
        model=models_dir / "hand_landmark_lite.tflite",
        task="hands",
        photos=tuple(sorted(photos.iterdir())),
        helpers={"palm": models_dir / "palm_detection_full.tflite"},
        out=tmp_path_factory.mktemp("packages"),
        name="hand-landmark-lite",
        version="1",
    )
    return make_float_package(making)


@pytest.fixture(scope="module")
def manager(tmp_path_factory) -> Iterator[str]:
    """A real manager's REST interface on a free port."""
    folder = tmp_path_factory.mktemp("manager")
    store = Store.open(f"sqlite:///{folder / 'fleet.db'}")
    service = FleetService(
        store, artifacts=ArtifactStore(folder / "artifacts"), clock_ms=lambda: time.time_ns() // 1_000_000
    )
    config = uvicorn.Config(create_app(service), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + DEADLINE_S
    while not server.started:
        assert time.monotonic() < until, "the manager did not start"
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(DEADLINE_S)
    store.close()


def run(*arguments: object, app=model):
    return runner.invoke(app, [str(argument) for argument in arguments])


def test_every_command_shows_an_example():
    for command in ("import", "quantize", "verify", "pack", "publish", "ls", "show", "inspect", "split"):
        done = run(command, "--help")
        assert done.exit_code == 0
        assert "Example: headway model" in done.stdout
    assert "Example: headway eval hands" in run("hands", "--help", app=evaluate).stdout


def test_import_names_the_files_and_touches_no_network_when_they_are_there(models_dir):
    done = run("import", "hands", "--into", models_dir, "--json")
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)) >= {"hand_landmark_full", "palm_detection_full"}


def test_import_of_an_unknown_model_names_the_known_ones(tmp_path):
    done = run("import", "unicorn", "--into", tmp_path)
    assert done.exit_code == 1
    assert "hand_landmark_full" in done.stderr


def test_pack_writes_a_package_that_opens(photos, models_dir, tmp_path):
    done = run(
        "pack", models_dir / "hand_landmark_full.tflite", "--images", photos, "--out", tmp_path, "--json"
    )
    assert done.exit_code == 0, done.stderr
    view = json.loads(done.stdout)
    opened = open_package(Path(view["directory"]))
    assert opened.digest == view["digest"]
    assert (opened.manifest.name, opened.manifest.quantisation) == ("hand-landmark-full", "float16")
    assert opened.manifest.licence == "Apache-2.0"


def test_a_missing_model_is_not_found_and_says_what_to_do(photos, tmp_path):
    done = run("quantize", tmp_path / "gone.tflite", "--images", photos)
    assert done.exit_code == 3
    assert "headway model import hands" in done.stderr


def test_an_unknown_task_is_wrong_usage(photos, models_dir):
    done = run("quantize", models_dir / "hand_landmark_lite.tflite", "--images", photos, "--task", "juggling")
    assert done.exit_code == 2
    assert "choose one of hands" in done.stderr


def test_an_unknown_mode_is_wrong_usage(photos, models_dir):
    done = run("quantize", models_dir / "hand_landmark_lite.tflite", "--images", photos, "--mode", "magic")
    assert (done.exit_code, "static, dynamic" in done.stderr) == (2, True)


def test_a_folder_without_photos_is_refused(models_dir, tmp_path):
    done = run("pack", models_dir / "hand_landmark_lite.tflite", "--images", tmp_path)
    assert done.exit_code == 1
    assert "holds no photo" in done.stderr


def test_quantize_of_too_few_photos_is_refused_with_the_reason(photos, models_dir, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photos / PHOTOS[0], one)
    done = run(
        *("quantize", models_dir / "hand_landmark_lite.tflite", "--images", one, "--out", tmp_path / "out"),
        "--json",
    )
    assert done.exit_code == 1
    assert "at least 3" in done.stderr
    assert [reason["word"] for reason in json.loads(done.stdout)["reasons"]] == ["too_few_photos"]
    assert not (tmp_path / "out").exists()


def test_ls_and_show_find_a_package_by_name_version_and_digest(package):
    store = package.directory.parent
    listed = json.loads(run("ls", "--store", store, "--json").stdout)
    assert [row["digest"] for row in listed] == [package.digest]
    for reference in ("hand-landmark-lite", "hand-landmark-lite:1", package.digest[:12], package.directory):
        done = run("show", reference, "--store", store, "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["manifest"]["task"] == "hands"
    assert run("show", "unicorn", "--store", store).exit_code == 3


def test_inspect_tells_what_a_file_computes_in(models_dir):
    done = run("inspect", models_dir / "hand_landmark_full.tflite", "--json")
    facts = json.loads(done.stdout)
    assert facts["quantisation"] == "float16"
    assert facts["operators"]["CONV_2D"] == 31
    assert facts["inputs"] == ["input_1 float32[1, 224, 224, 3]"]


def test_publish_sends_a_package_that_the_manager_lists(package, manager):
    first = run("publish", package.directory, "--manager", manager, "--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout)["digest"] == package.digest
    assert run("publish", package.directory, "--manager", manager).exit_code == 0
    listed = json.loads(run("ls", "--manager", manager, "--json").stdout)
    assert [row["digest"] for row in listed] == [package.digest]
    shown = run("show", "hand-landmark-lite", "--manager", manager, "--json")
    assert json.loads(shown.stdout)["manifest"]["name"] == "hand-landmark-lite"


def test_a_typed_store_wins_over_the_environments_manager(package, free_port, monkeypatch):
    store, nobody = package.directory.parent, f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HEADWAY_MANAGER", nobody)
    listed = json.loads(run("ls", "--store", store, "--json").stdout)
    assert [row["digest"] for row in listed] == [package.digest]
    assert run("show", "hand-landmark-lite", "--store", store, "--json").exit_code == 0
    assert run("ls", "--json").exit_code == 3
    both = run("ls", "--store", store, "--manager", nobody)
    assert (both.exit_code, "leave one of them out" in both.stderr) == (2, True)


@pytest.mark.parametrize("word", ["onnxruntime", "onnx"])
def test_publish_knows_the_engine_by_the_word_that_workers_use(package, free_port, word):
    done = run(
        "publish", package.directory, "--runtime", word, "--manager", f"http://127.0.0.1:{free_port()}"
    )
    assert (done.exit_code, "in a child process" in done.stderr) == (1, True), done.stderr


def test_a_manager_without_the_model_is_not_found(manager):
    done = run("show", "unicorn", "--manager", manager)
    assert done.exit_code == 3
    assert "error:" in done.stderr


def test_publish_without_a_manager_says_what_to_start(package, free_port):
    done = run("publish", package.directory, "--manager", f"http://127.0.0.1:{free_port()}")
    assert done.exit_code == 3
    assert "headway manager run" in done.stderr


def test_publish_sends_nothing_that_was_altered(package, tmp_path, free_port):
    altered = tmp_path / package.digest
    shutil.copytree(package.directory, altered)
    content = bytearray((altered / package.model_path.name).read_bytes())
    content[-1] ^= 1
    (altered / package.model_path.name).write_bytes(content)
    done = run("publish", altered, "--manager", f"http://127.0.0.1:{free_port()}")
    assert done.exit_code == 1
    assert "hashes to" in done.stderr
