"""What the doctor sees on machines that tests make up, and what it says."""

import json
import sys
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from headway import doctor
from headway.doctor import CHECKS, Machine, examine, missing_by_extra


@pytest.fixture
def machine(tmp_path):
    """A bare machine: an empty repository, an empty cache."""
    (tmp_path / "repository").mkdir()
    return Machine(
        repository=tmp_path / "repository",
        cache=tmp_path / "cache",
        environ={"LANG": "C.UTF-8"},
        search_path=[str(tmp_path / "repository"), str(tmp_path / "site-packages")],
    )


def run(machine, name):
    ok, detail, fix = CHECKS[name](machine)
    return ok, f"{detail} {fix}"


def test_every_check_that_fails_names_a_fix(machine):
    rows = {row.name: row for row in examine(machine)}
    assert set(rows) == set(CHECKS)
    assert all(row.fix for row in rows.values() if not row.ok)
    assert not rows["models"].ok
    assert not rows["photos"].ok


def test_python_is_new_enough_here(machine):
    assert run(machine, "python")[0]


def test_an_old_python_is_seen(machine, monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    ok, said = run(machine, "python")
    assert not ok
    assert "make PYTHON=" in said


def test_a_clone_without_set_up_is_told_to_run_it(machine):
    (machine.repository / "pyproject.toml").touch()
    (machine.repository / "constraints.txt").touch()
    ok, said = run(machine, "environment")
    assert not ok
    assert "make setup" in said


def test_an_installed_package_needs_no_clone(machine):
    assert run(machine, "environment")[0]


def test_missing_packages_are_told_by_extra():
    requirements = ["pytest>=8", 'nowhere-to-be-found<2; extra == "edge"', "pytest; extra == 'test'"]
    assert missing_by_extra(requirements) == {"": [], "edge": ["nowhere-to-be-found"], "test": []}


def test_our_own_folders_are_not_foreign(machine):
    (machine.repository / "schemas").mkdir()
    (machine.repository / "schemas" / "__init__.py").touch()
    assert run(machine, "names")[0]


@pytest.mark.parametrize("taken", ["inference/__init__.py", "schemas.py"])
def test_a_foreign_package_of_the_same_name_is_seen(machine, tmp_path, taken):
    path = tmp_path / "site-packages" / taken
    path.parent.mkdir(parents=True)
    path.touch()
    ok, said = run(machine, "names")
    assert not ok
    assert str(path.with_suffix("") if taken.endswith("s.py") else path.parent) in said


def test_mosquitto_is_named_with_its_version(machine, mosquitto_binary, cache):
    ok, said = run(replace(machine, cache=cache), "mosquitto")
    assert ok
    assert str(mosquitto_binary) in said


def test_models_and_photos_are_seen(machine, models_dir):
    assert run(replace(machine, cache=models_dir.parent), "models")[0]


def test_a_cache_that_cannot_be_written_is_seen(machine):
    machine.cache.touch()
    ok, said = run(machine, "cache")
    assert not ok
    assert "HEADWAY_CACHE" in said


def test_a_nearly_full_disk_is_seen(machine, monkeypatch):
    monkeypatch.setattr(doctor, "FREE_SPACE_BYTES", sys.maxsize)
    assert not run(machine, "cache")[0]


def call(*arguments):
    app = typer.Typer()
    app.command()(doctor.doctor)
    return CliRunner().invoke(app, list(arguments))


def test_json_carries_every_row():
    result = call("--json")
    document = json.loads(result.stdout)
    assert {row["name"] for row in document["checks"]} == set(CHECKS)
    assert document["ok"] == all(row["ok"] for row in document["checks"]) == (result.exit_code == 0)


def test_lines_tell_the_fix_where_there_is_one(monkeypatch):
    monkeypatch.setattr(
        doctor,
        "CHECKS",
        {"tea": lambda _: (False, "no tea", "boil water"), "cup": lambda _: (True, "a cup", "")},
    )
    result = call()
    assert result.exit_code == 1
    assert "-> boil water" in result.stdout
    assert "ok   cup" in result.stdout
