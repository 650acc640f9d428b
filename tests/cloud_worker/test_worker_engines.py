"""Every engine that opens .tflite files can serve hands; one that is not installed is named with its extra."""

import sys

import pytest

from cloud_worker.errors import WorkerConfigError
from cloud_worker.models import RUNTIME_NAMES, hands_kitchen
from inference.errors import RuntimeMissingError
from inference.runtimes.registry import RUNTIMES, open_runtime, row_of
from schemas.messages import Task
from tests.conftest import missing

OWN_ENVIRONMENT = {"tflite"}
HAND_ENGINES = [
    word
    for word in RUNTIME_NAMES
    if ".tflite" in RUNTIMES[row_of(word)].suffixes and word not in OWN_ENVIRONMENT
]


def kitchen(folder, runtime, **options):
    return hands_kitchen(
        folder,
        runtime=runtime,
        max_hands=1,
        max_pixels=1 << 20,
        clock_ns=lambda: 0,
        variant="lite",
        **options,
    )


@pytest.mark.parametrize("word", HAND_ENGINES)
def test_a_worker_serves_hands_with_every_engine_that_opens_the_published_models(word, models_dir):
    try:
        open_runtime(row_of(word))
    except RuntimeMissingError as error:
        missing(str(error))
    made = kitchen(models_dir, word)
    assert set(made.make_answerers()) == {Task.HANDS}
    assert set(made.runtimes) == {row_of(word)}


@pytest.mark.parametrize("word", ["openvino", "mnn"])
def test_an_engine_that_is_not_installed_is_refused_with_its_extra(word, models_dir, monkeypatch):
    row = RUNTIMES[word]
    monkeypatch.delitem(sys.modules, row.module, raising=False)
    monkeypatch.setitem(sys.modules, {"openvino": "openvino", "mnn": "MNN"}[word], None)
    with pytest.raises(WorkerConfigError, match=rf"install headway\[{word}\]"):
        kitchen(models_dir, word)


def test_a_folder_without_a_file_for_the_engine_is_refused_with_the_likeliest_name(models_dir):
    with pytest.raises(WorkerConfigError, match=r"palm_detection_lite\.param"):
        kitchen(models_dir, "ncnn")


def test_a_second_slot_and_a_second_start_convert_no_model_again(models_dir, tmp_path):
    try:
        open_runtime("mnn")
    except RuntimeMissingError as error:
        missing(str(error))
    kept = tmp_path / "conversions"
    files = []
    for _ in range(2):
        made = kitchen(models_dir, "mnn", conversions=kept)
        for _ in range(2):
            for answerer in made.make_answerers().values():
                answerer.close()
            files.append({path.name: path.stat().st_mtime_ns for path in kept.iterdir()})
    assert len(files[0]) == 2  # palm and landmark
    assert all(row == files[0] for row in files)
