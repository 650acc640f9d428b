"""Broken model files: drawn the same every time, tried in children, counted by how they end."""

import json
import signal

import onnx
import pytest

from bench.model_mutants import Child, Report, measure
from bench.model_mutator import ModelMutant, ModelMutator
from bench.model_seeds import seeds, whole_seeds
from bench.onnx_sites import onnx_sites
from bench.tflite_sites import tflite_sites
from tests.inference.made_tflite import Made

FILES = 40


@pytest.fixture(scope="module")
def good(models_dir) -> dict[str, bytes]:
    return seeds([models_dir])


@pytest.fixture
def child():
    trial = Child()
    yield trial
    trial.close()


def test_good_files_are_cut_out_of_real_models_of_both_formats(good):
    assert {name.rpartition(".")[2] for name in good} == {"tflite", "onnx"}
    assert len(good) > 5


def test_every_site_lies_in_its_file_and_all_kinds_of_numbers_are_found(good):
    kinds = set()
    for name, content in good.items():
        sites = onnx_sites(content) if name.endswith(".onnx") else tflite_sites(content)
        assert all(site.at >= 0 and site.at + site.size <= len(content) for site in sites)
        kinds |= {site.kind for site in sites}
    assert kinds >= {
        "offset",
        "vtable",
        "length",
        "index",
        "shape",
        "buffer",
        "opcode",
        "type",
        "options",
        "key",
    }


def test_the_same_number_gives_the_same_broken_file(good, models_dir):
    first, second = (ModelMutator(good, large=whole_seeds([models_dir]), seed=3) for _ in range(2))
    drawn = [first.mutant(number) for number in range(FILES)]
    assert drawn == [second.mutant(number) for number in reversed(range(FILES))][::-1]
    assert len({mutant.family for mutant in drawn}) > 10


def test_broken_files_are_refused_or_work_and_harm_no_reader(models_dir):
    found = measure(files=FILES, seed=5, jobs=1, folders=[models_dir])
    assert found["passed"], found["findings"]
    assert sum(found["outcomes"].values()) == found["files"] == FILES
    assert found["outcomes"]["refused"] > 0


def test_a_good_file_is_accepted_by_the_child(child, good):
    name = "made_quantised.onnx"
    onnx.checker.check_model(onnx.load_model_from_string(good[name]))
    row = child.ask(ModelMutant(number=1, seed=name, family="none", data=good[name]))
    assert (row["outcome"], row["at"]) == ("accepted", "parts")


def test_names_that_are_no_utf_8_are_refused_by_the_engine_and_raise_nothing_else(child):
    maker = Made()
    maker.operator("ADD", ["x", "x"], ["y"])
    maker.tensor("y").name = b"\xff\xfe"
    row = child.ask(ModelMutant(number=1, seed="made.tflite", family="none", data=maker.content()))
    assert (row["outcome"], row["error"]) == ("refused", "ModelLoadError")


def test_a_child_that_dies_is_told_of_and_followed_by_another(child, good):
    mutant = ModelMutant(
        number=1, seed="made_quantised.onnx", family="none", data=good["made_quantised.onnx"]
    )
    child.ask(mutant)
    child._process.send_signal(signal.SIGSEGV)
    child._process.wait()
    row = child.ask(mutant)
    assert (row["outcome"], row["reason"]) == ("crashed", "killed by SIGSEGV")
    assert child.ask(mutant)["outcome"] == "accepted"
    assert child.started == 2


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"outcome": "crashed", "at": "running", "reason": "killed by SIGSEGV", "error": ""}, False),
        ({"outcome": "crashed", "at": "reading", "reason": "killed by SIGSEGV", "error": ""}, True),
        ({"outcome": "hung", "at": "splitting", "reason": "no answer in time", "error": ""}, True),
        ({"outcome": "raised", "at": "opening", "reason": "", "error": "KeyError"}, True),
        (
            {"outcome": "refused", "at": "reading", "reason": "x", "error": "GraphError", "reader_mb": 900.0},
            True,
        ),
        ({"outcome": "refused", "at": "reading", "reason": "x 'y' 12", "error": "GraphError"}, False),
    ],
)
def test_only_the_engine_may_die_of_a_file(row, found):
    report = Report()
    mutant = ModelMutant(number=1, seed="a.tflite", family="none", data=b"")
    assert report.count(mutant, row) is found
    assert json.dumps(report.as_dict())
