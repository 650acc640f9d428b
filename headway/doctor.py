"""Shell that checks the set-up of this machine and names what to fix: ``headway doctor``.

One row per check, all in one table; every check looks and changes nothing, and no network is touched. Refuses
to guess about rooms that are running: it looks at what is installed, not at what is going on.
"""

import importlib.metadata
import json as json_format
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from broker.errors import BrokerUnavailable
from broker.mosquitto import find_mosquitto, mosquitto_version
from headway import photos
from headway.setup import OLDEST_PYTHON, REPOSITORY, Plan, cache_dir, stamped_extras
from inference.packages import zoo

# The folders of this project are its import names, and some of these names are taken on the public index.
TOP_LEVEL = (
    "schemas",
    "observability",
    "broker",
    "inference",
    "edge_node",
    "cloud_worker",
    "fleet_manager",
    "integrations",
    "headway",
)
FREE_SPACE_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the checks look at; given in, so that tests can show them another machine."""

    repository: Path
    cache: Path
    environ: Mapping[str, str]
    search_path: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one check found. ``fix`` is empty where all is well."""

    name: str
    ok: bool
    detail: str
    fix: str


Finding = tuple[bool, str, str]


def check_python(_: Machine) -> Finding:
    """The interpreter is new enough."""
    fix = "use a newer one: make PYTHON=python3.12"
    return sys.version_info >= OLDEST_PYTHON, f"{platform.python_version()} at {sys.executable}", fix


def check_environment(machine: Machine) -> Finding:
    """The virtual environment is the project's own and was set up to the end."""
    if not (machine.repository / "pyproject.toml").is_file():
        return True, f"installed as a package in {sys.prefix}", ""
    venv = machine.repository / ".venv"
    plan = Plan(repository=machine.repository, venv=venv, wheel_cache=machine.cache)
    extras = ", ".join(sorted(stamped_extras(plan)))
    detail = f"{venv} with {extras}" if extras else f"{venv} was never finished, or is out of date"
    return bool(extras), detail, "run `make setup`"


def check_extras(_: Machine) -> Finding:
    """The core's packages are there; extras are listed as they are."""
    missing = missing_by_extra(importlib.metadata.requires("headway") or [])
    whole = sorted(extra for extra, names in missing.items() if extra and not names)
    core = missing.get("", [])
    detail = f"missing {', '.join(core)}" if core else f"core; whole extras: {', '.join(whole) or 'none'}"
    return not core, detail, "run `make setup`, or pip install headway again"


def missing_by_extra(requirements: Sequence[str]) -> dict[str, list[str]]:
    """Names of packages that are not installed, by extra; the core is the extra with the empty name."""
    missing: dict[str, list[str]] = {}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        marked = re.search(r"extra == ['\"]([^'\"]+)['\"]", requirement)
        names = missing.setdefault(marked.group(1) if marked else "", [])
        if not any(True for _ in importlib.metadata.distributions(name=name)):
            names.append(name)
    return missing


def check_names(machine: Machine) -> Finding:
    """Nothing on the search path has a folder or module of the same name as one of ours."""
    foreign = [
        str(Path(entry) / name)
        for entry in machine.search_path
        if Path(entry).resolve() != machine.repository
        for name in TOP_LEVEL
        if (Path(entry) / name / "__init__.py").exists() or (Path(entry) / f"{name}.py").exists()
    ]
    detail = f"in the way: {', '.join(foreign)}" if foreign else "no foreign package has one of our names"
    return not foreign, detail, "pip uninstall the packages that own these, or use an environment of its own"


def check_mosquitto(machine: Machine) -> Finding:
    """A Mosquitto is there and starts."""
    try:
        binary = find_mosquitto(machine.cache)
        return True, f"{mosquitto_version(binary)} at {binary}", ""
    except BrokerUnavailable as error:
        return False, str(error), "run `.venv/bin/python -m headway.provision mosquitto`"


def check_models(machine: Machine) -> Finding:
    """The MediaPipe hand models are there and intact."""
    folder = machine.cache / "models"
    absent = [row.file_name for row in zoo.known("hands") if not zoo.is_intact(folder / row.file_name, row)]
    detail = f"absent or damaged in {folder}: {', '.join(absent)}" if absent else f"hand models in {folder}"
    return (
        not absent,
        detail,
        "run `headway model import hands`, or `.venv/bin/python -m headway.provision models`",
    )


def check_photos(machine: Machine) -> Finding:
    """There are photos to show."""
    there = photos.present(machine.cache)
    detail = f"{len(there)} in {machine.cache / 'photos'}" if there else f"none in {machine.cache / 'photos'}"
    return bool(there), detail, "run `.venv/bin/python -m headway.provision photos`, or pass --source FOLDER"


def check_cache(machine: Machine) -> Finding:
    """The cache can be written and has space left."""
    fix = "free some space, mend the permissions, or set HEADWAY_CACHE to another folder"
    try:
        machine.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=machine.cache):
            free_bytes = shutil.disk_usage(machine.cache).free
    except OSError as error:
        return False, f"{machine.cache}: {error}", fix
    return free_bytes >= FREE_SPACE_BYTES, f"{machine.cache}, {free_bytes / 1e9:.1f} GB free", fix


def check_locale(machine: Machine) -> Finding:
    """Text that this process writes is UTF-8."""
    encoding = sys.getfilesystemencoding()
    wanted = (
        machine.environ.get("LC_ALL")
        or machine.environ.get("LC_CTYPE")
        or machine.environ.get("LANG")
        or "not set"
    )
    return encoding == "utf-8", f"{encoding} (locale {wanted})", "export LC_ALL=C.UTF-8"


CHECKS: dict[str, Callable[[Machine], Finding]] = {
    "python": check_python,
    "environment": check_environment,
    "packages": check_extras,
    "names": check_names,
    "mosquitto": check_mosquitto,
    "models": check_models,
    "photos": check_photos,
    "cache": check_cache,
    "locale": check_locale,
}


def examine(machine: Machine) -> list[Row]:
    """Run every check of the table."""
    rows = []
    for name, check in CHECKS.items():
        ok, detail, fix = check(machine)
        rows.append(Row(name=name, ok=ok, detail=detail, fix="" if ok else fix))
    return rows


def doctor(*, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Check the set-up of this machine and name what to fix.

    Example: headway doctor --json

    Exits with 0 when all is well, 1 when something is to be fixed.
    """
    machine = Machine(
        repository=REPOSITORY, cache=cache_dir(os.environ), environ=os.environ, search_path=tuple(sys.path)
    )
    rows = examine(machine)
    if json:
        typer.echo(
            json_format.dumps({"ok": all(row.ok for row in rows), "checks": [asdict(row) for row in rows]})
        )
    else:
        for row in rows:
            typer.echo(f"{'ok ' if row.ok else 'FIX'}  {row.name:<12} {row.detail}")
            if not row.ok:
                typer.echo(f"     {'':<12} -> {row.fix}")
    if not all(row.ok for row in rows):
        raise typer.Exit(1)
