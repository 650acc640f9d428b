"""``headway model inspect`` and ``headway model split`` on files of both formats."""

import json
import os

import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner

from inference.cli import model as command
from inference.commands import split as split_cli
from inference.parity.check import ParityReport
from inference.runtimes.registry import open_runtime
from tests.inference.made_tflite import Made
from tests.inference.onnx_made import IMAGE, made, row, skip_model

runner = CliRunner()


def run(*words):
    return runner.invoke(command, [str(word) for word in words])


@pytest.fixture
def tflite(tmp_path):
    """Three additions; the first one's result is read by the last as well."""
    maker = Made()
    maker.constant("one", np.ones((1, 4), np.float32))
    maker.operator("ADD", ["x", "one"], ["a"])
    maker.operator("MUL", ["a", "a"], ["b"])
    maker.operator("ADD", ["b", "a"], ["y"])
    path = tmp_path / "adds.tflite"
    path.write_bytes(maker.content())
    return path


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / "skip.onnx"
    path.write_bytes(skip_model())
    return path


def test_inspect_shows_what_a_cut_behind_each_operator_sends(tflite):
    facts = json.loads(run("inspect", tflite, "--json").stdout)
    assert [line["cut_bytes"] for line in facts["positions"]] == [16, 16, 32, 0]
    assert facts["positions"][2]["crossing"] == ["a", "b"]
    assert facts["cuts"] == 4
    table = run("inspect", tflite).stdout
    assert "MUL" in table
    assert "b float32[1, 4]" in table


def test_inspect_reads_onnx_files_and_says_why_one_cannot_be_cut(onnx, tmp_path):
    facts = json.loads(run("inspect", onnx, "--json").stdout)
    assert (facts["format"], facts["positions"][1]["kind"]) == ("onnx", "Conv")
    apart = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["w"], ["z"])]
    two = [row("x", IMAGE), row("w", IMAGE)]
    path = tmp_path / "apart.onnx"
    path.write_bytes(made(apart, inputs=two, outputs=[row("y", IMAGE), row("z", IMAGE)]))
    assert run("inspect", path).exit_code == 0  # each half goes its own way, the input of the second crosses
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(made([], inputs=[row("x", IMAGE)], outputs=[row("y", IMAGE)]))
    done = run("inspect", empty)
    assert done.exit_code == 1
    assert "no operators" in done.stderr


def test_inspect_fills_the_times_from_a_profile_of_this_file_only(tflite, tmp_path):
    facts = json.loads(run("inspect", tflite, "--json").stdout)
    stored = {
        "schema": "headway.profile/1",
        "hardware": "bench",
        "model_sha256": facts["sha256"],
        "levels": [0.5],
        "positions": [0, 1, 2, 3],
        "prefix_ns": [[0, 1e6, 2e6, 4e6]],
    }
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(stored))
    timed = json.loads(run("inspect", tflite, "--profile", profile, "--json").stdout)
    assert [line["elapsed_ms"] for line in timed["positions"]] == [0, 1, 2, 4]
    profile.write_text(json.dumps(stored | {"model_sha256": "0" * 64}))
    assert run("inspect", tflite, "--profile", profile).exit_code == 1


def test_inspect_takes_the_newest_stored_profile_unless_another_is_named(tflite, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path))
    facts = json.loads(run("inspect", tflite, "--json").stdout)
    assert facts["times_of"] is None
    stored = {
        "schema": "headway.profile/1",
        "model_sha256": facts["sha256"],
        "levels": [0.5],
        "positions": [0, 1, 2, 3],
    }
    home = tmp_path / "profiles" / facts["sha256"]
    home.mkdir(parents=True)
    for age, (hardware, last) in enumerate((("hmd", 4e6), ("desktop", 3e6))):
        path = home / f"{hardware}-litert-1.json"
        path.write_text(json.dumps(stored | {"hardware": hardware, "prefix_ns": [[0, 1e6, 2e6, last]]}))
        os.utime(path, (age, age))
    timed = json.loads(run("inspect", tflite, "--json").stdout)
    assert (timed["times_of"], timed["positions"][-1]["elapsed_ms"]) == ("desktop", 3)
    timed = json.loads(run("inspect", tflite, "--profile", "hmd", "--json").stdout)
    assert (timed["times_of"], timed["positions"][-1]["elapsed_ms"]) == ("hmd", 4)


def test_names_that_would_steer_a_terminal_are_shown_harmlessly(tmp_path):
    maker = Made(outputs=("\x1b[2Jy",))
    maker.operator("ADD", ["x", "x"], ["\x1b[2Jy"])
    path = tmp_path / "bad.tflite"
    path.write_bytes(maker.content())
    assert "\x1b[2J" not in run("inspect", path).stdout


def test_two_cuts_write_three_models_that_chain_to_the_whole(tflite, tmp_path):
    done = run("split", tflite, "--at", "1:2", "--out", tmp_path / "parts", "--json")
    assert done.exit_code == 0, done.stderr
    view = json.loads(done.stdout)
    assert [(part["role"], part["runs_on"]) for part in view["parts"]] == [
        ("head", "headset"),
        ("middle", "worker"),
        ("tail", "headset"),
    ]
    assert (view["up"]["bytes"], view["down"]["bytes"]) == (16, 16)
    assert view["parity"]["passed"]
    values = {"x": np.arange(4, dtype=np.float32).reshape(1, 4)}
    for part in view["parts"]:
        opened = open_runtime("litert").load(tmp_path / "parts" / f"adds.{part['role']}.tflite")
        results = opened.run([values[spec.name] for spec in opened.inputs()])
        values |= dict(zip([spec.name for spec in opened.outputs()], results, strict=True))
        opened.close()
    assert values["y"].tolist() == [[2, 6, 12, 20]]


def test_one_cut_leaves_all_behind_it_to_the_worker(onnx, tmp_path):
    done = run("split", onnx, "--at", "2", "--out", tmp_path / "parts")
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {"skip.head.onnx", "skip.tail.onnx"}
    assert "B to the worker: " in done.stdout
    assert "parity: 1 of 1 exact" in done.stdout


def test_check_all_counts_every_legal_cut_and_random_pairs(tflite):
    view = json.loads(
        run("split", tflite, "--check-all", "--pairs", "4", "--threads", "1,2", "--json").stdout
    )
    assert (view["cuts"]["checked"], view["cuts"]["exact"]) == (3, 3)
    assert (view["pairs"]["checked"], view["pairs"]["exact"]) == (4, 4)
    assert view["threads"] == [1, 2]


def test_parts_that_differ_end_with_exit_code_1_and_name_the_pair(tflite, monkeypatch):
    report = ParityReport(pairs=2, exact=1, max_difference=0.5, differing=((1, 3),))
    monkeypatch.setattr(split_cli, "sweep", lambda *_, **__: report)
    done = run("split", tflite, "--check-all")
    assert done.exit_code == 1
    assert "differs: 1:3" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "choose one"),
        (("--at", "1"), 2, "--out DIR"),
        (("--at", "one", "--out", "{}"), 2, "12 or 5:20"),
        (("--at", "1", "--out", "{}", "--threads", "0"), 2, "1 or 1,2"),
        (("--at", "1", "--out", "{}", "--shape", "x"), 2, "x=1,3,320,320"),
        (("--at", "0", "--out", "{}"), 1, "between 1 and 2"),
        (("--at", "2:9", "--out", "{}"), 1, "the nearest is 3"),
        (("--at", "1", "--out", "{}", "--shape", "x=1,4"), 1, "leave the shapes out"),
    ],
)
def test_what_cannot_be_cut_says_what_to_do_instead(tflite, tmp_path, words, code, said):
    done = run("split", tflite, *(word.format(tmp_path / "parts") for word in words))
    assert done.exit_code == code
    assert said in done.stderr
    assert not (tmp_path / "parts").exists()


def test_a_missing_file_is_exit_code_3(tmp_path):
    for verb, rest in (("inspect", ()), ("split", ("--check-all",))):
        assert run(verb, tmp_path / "gone.tflite", *rest).exit_code == 3
