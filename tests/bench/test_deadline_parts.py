"""The collecting benchmark of the deadline: what fails, what is missed and what stays of an earlier file."""

import json

import pytest
from typer.testing import CliRunner

from bench import deadline

MET = {"what": "unanswered", "at_most": 0, "measured": 0, "met": True}
MISSED = {"what": "hit rate", "at_least": 0.9, "measured": 0.8, "met": False}


@pytest.fixture
def parts(monkeypatch):
    """Parts that do what the test says."""

    def put(**runs) -> None:
        def run(part, *, scale, tell):
            tell(scale)
            return runs[part.module]()

        monkeypatch.setattr(deadline.Part, "run", run)
        monkeypatch.setattr(deadline, "PARTS", {name: deadline.Part(module=name) for name in runs})

    return put


def invoke(*words):
    app = deadline.typer.Typer()
    app.command()(deadline.main)
    return CliRunner().invoke(app, ["--no-plot", *(str(word) for word in words)])


def fail():
    raise RuntimeError("no broker")


def test_a_part_that_fails_stops_no_other_and_ends_with_exit_code_1(parts, tmp_path):
    parts(real=fail, sim=lambda: {"rows": [1], "aims": [MET]})
    out = tmp_path / "deadline.json"
    assert invoke("--out", out).exit_code == 1
    report = json.loads(out.read_text())
    assert report["parts"]["real"]["error"] == "RuntimeError: no broker"
    assert report["sim"] == {"rows": [1]}
    for record in report["parts"].values():
        assert record["host"]["wake_lateness_ms"].keys() == {"p50", "p99", "p99.9", "p100"}
        assert {"busy_share", "others_share", "steal_share"} <= record["host"].keys()
    assert report["aims"] == [{"part": "sim", **MET}]


def test_a_missed_aim_is_told_and_fails_only_where_that_is_asked(parts, tmp_path):
    parts(sim=lambda: {"aims": [MISSED]})
    done = invoke("--out", tmp_path / "deadline.json")
    assert done.exit_code == 0
    assert "hit rate, at least 0.9: 0.8 MISSED" in done.stdout
    assert invoke("--out", tmp_path / "deadline.json", "--strict").exit_code == 1


def test_parts_of_the_same_machine_stay_when_others_are_measured_anew(parts, tmp_path):
    out = tmp_path / "deadline.json"
    parts(sim=lambda: {"rows": [1], "aims": [MET]}, grid=lambda: {"rows": [2], "aims": [MISSED]})
    invoke("--out", out)
    parts(sim=lambda: {"rows": [3], "aims": [MET]}, grid=fail)
    assert invoke("--out", out, "--only", "sim").exit_code == 0
    report = json.loads(out.read_text())
    assert (report["sim"], report["grid"]) == ({"rows": [3]}, {"rows": [2]})
    assert [aim["part"] for aim in report["aims"]] == ["grid", "sim"]


@pytest.mark.parametrize("words", [("--only", "cooking"), ("--scale", "huge")])
def test_what_is_unknown_is_wrong_usage(words, tmp_path):
    assert invoke("--out", tmp_path / "deadline.json", *words).exit_code == 2
