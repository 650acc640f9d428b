"""The collecting benchmark: one part for real with tiny counts, and how failures and misses are told."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bench import craft
from bench.craft_aims import AIMS, Aim, parity_aims, placement_aims


def test_the_placement_part_alone_runs_and_is_judged(tmp_path):
    out = tmp_path / "craft.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.craft", "--only", "placement", "--quick", "--out", str(out), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    report = json.loads(out.read_text())
    assert report["parts"]["placement"]["error"] is None, report["parts"]
    assert report == json.loads(done.stdout)
    by_name = {row["what"]: row for row in report["aims"]}
    assert by_name["random cases equal to brute force"]["met"]
    assert not by_name["random cases of each family"]["met"]  # tiny counts prove nothing, and say so
    assert done.returncode == 1
    assert report["machine"]["cores"]


@pytest.fixture
def one_part(monkeypatch):
    """A single part that does what the test says."""

    def put(run) -> None:
        part = craft.Part(module="bench.craft_placement", tell="tell", quick={})
        monkeypatch.setattr(craft.Part, "run", lambda _self, **_: run())
        monkeypatch.setattr(craft, "PARTS", {"wire": part})

    return put


def run(monkeypatch, *words):
    app = craft.typer.Typer()
    app.command()(craft.main)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_part_that_fails_is_recorded_and_ends_with_exit_code_1(one_part, monkeypatch, tmp_path):
    def fail():
        raise RuntimeError("no such engine")

    one_part(fail)
    out = tmp_path / "craft.json"
    assert run(monkeypatch, "--out", out).exit_code == 1
    report = json.loads(out.read_text())
    assert report["parts"]["wire"]["error"] == "RuntimeError: no such engine"
    assert report["wire"] is None


def test_other_parts_of_the_same_machine_stay_and_figures_nobody_can_read_meet_nothing(
    one_part, monkeypatch, tmp_path
):
    one_part(lambda: {"wire": [{"best": {"overhead_bytes": 160, "reply_overhead_bytes": 190}}]})
    out = tmp_path / "craft.json"
    kept = {"machine": craft.machine_facts(craft.PACKAGES), "parts": {}, "aims": [], "gate": ["kept"]}
    out.write_text(json.dumps(kept))
    assert run(monkeypatch, "--only", "wire", "--out", out).exit_code == 0
    assert json.loads(out.read_text())["gate"] == ["kept"]
    out.write_text(json.dumps(kept | {"machine": {}}))
    run(monkeypatch, "--only", "wire", "--out", out)
    assert "gate" not in json.loads(out.read_text())
    one_part(lambda: {"strange": 1})
    assert run(monkeypatch, "--out", out).exit_code == 1


def test_an_unknown_part_is_wrong_usage(monkeypatch, tmp_path):
    assert run(monkeypatch, "--only", "cooking", "--out", tmp_path / "craft.json").exit_code == 2


def test_every_part_has_aims():
    assert AIMS.keys() == craft.PARTS.keys()


def test_a_figure_that_was_not_measured_meets_no_aim():
    assert not Aim("wire", "bytes", "most", 200, None).met
    assert Aim("wire", "bytes", "most", 200, 200).met
    assert not Aim("wire", "bytes", "most", 200, 201).met
    assert not Aim("gate", "cases", "least", 5, 4).met


def test_one_inexact_cut_on_one_path_misses_the_aim():
    row = {
        "model": "m",
        "one_path": True,
        "cuts": 60,
        "cuts_legal": 60,
        "exact": 60,
        "pairs": 50,
        "pairs_exact": 50,
    }
    assert all(aim.met for aim in parity_aims({"parity": [row], "refused": [], "failed": []}))
    assert not all(
        aim.met for aim in parity_aims({"parity": [row | {"exact": 59}], "refused": [], "failed": []})
    )
    assert not all(aim.met for aim in parity_aims({"parity": [], "refused": ["m"], "failed": []}))
    assert not all(aim.met for aim in parity_aims({"parity": [row], "refused": [], "failed": ["m: died"]}))
    across = row | {"one_path": False, "exact": 0}
    assert all(aim.met for aim in parity_aims({"parity": [row, across], "refused": [], "failed": []}))


def test_a_slow_decision_misses_its_aim():
    found = {
        "brute_force": {"u": {"cases": 1000, "equal": 1000}},
        "ans": [{"differences": []}],
        "min_cut": {"chain": {"interval_below_min_cut": 0}},
        "bytes_never_fall": {"held": 1000, "cases": 1000},
        "decision": {"large": {"wall_us": {"p99": 49.0}}},
    }
    assert all(aim.met for aim in placement_aims(found))
    found["decision"]["large"]["wall_us"]["p99"] = 51.0
    assert [aim.what for aim in placement_aims(found) if not aim.met] == ["decision p99 in us"]
