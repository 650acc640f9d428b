"""What benchmarks of several parts share: which parts, how each went, and that no figure is lost."""

import json

import pytest
import typer

from bench.machine import machine_facts
from bench.parts import PACKAGES, chosen, earlier, keep, timed

REPORT = {"machine": machine_facts(PACKAGES), "wire": [1]}


def test_all_parts_are_chosen_where_none_is_named_and_an_unknown_one_is_an_error(capsys):
    assert chosen("", {"a": 1, "b": 2}) == ["a", "b"]
    assert chosen(" b ,", {"a": 1, "b": 2}) == ["b"]
    with pytest.raises(typer.Exit) as ended:
        chosen("b,c", {"a": 1, "b": 2})
    assert ended.value.exit_code == 2
    assert "no part c: choose out of a, b" in capsys.readouterr().err


def test_a_part_that_fails_leaves_its_error_and_no_value():
    record, value = timed(lambda: 1 / 0, scale="quick")
    assert (record["error"], record["scale"], value) == ("ZeroDivisionError: division by zero", "quick", None)
    record, value = timed(lambda: 7)
    assert (record["error"], value) == (None, 7)


def test_what_was_kept_is_found_again_on_the_same_machine_only(tmp_path):
    out = tmp_path / "new" / "figures.json"
    keep(REPORT, out)
    assert earlier(out) == REPORT
    assert [found.name for found in out.parent.iterdir()] == [out.name]
    keep({**REPORT, "machine": {}}, out)
    assert earlier(out) == {}


def test_figures_that_cannot_be_written_are_printed_and_those_before_stay(tmp_path, capsys):
    out = tmp_path / "figures.json"
    keep(REPORT, out)
    (tmp_path / "figures.json.half").symlink_to("/dev/full")
    with pytest.raises(typer.Exit) as ended:
        keep({"wire": [2]}, out)
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"wire": [2]}
    assert "choose another --out" in said.err
    assert earlier(out) == REPORT
