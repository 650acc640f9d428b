"""Every dependency has its line in docs/dependencies.md, and every line its dependency."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wanted():
    """Name -> extras that want it, as pyproject.toml says."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    groups = {"core": document["project"]["dependencies"], **document["project"]["optional-dependencies"]}
    names: dict[str, set[str]] = {"hatchling": {"build"}, "editables": {"build"}}
    for group, requirements in groups.items():
        for requirement in requirements:
            names.setdefault(Requirement(requirement).name, set()).add(group)
    # The extra tflite repeats NumPy with other bounds; it is a package of the core all the same.
    names["numpy"] = {"core"}
    return names


@pytest.fixture(scope="module")
def lines():
    """Name -> extras, as the table of Python packages says."""
    table = (REPOSITORY / "docs" / "dependencies.md").read_text().split("## Not Python")[0]
    rows = re.findall(r"^\| ([A-Za-z0-9-]+) \| ([a-z, ]+) \|", table, flags=re.MULTILINE)
    return {name: set(extras.split(", ")) for name, extras in rows if name != "package"}


def test_every_dependency_has_its_line(wanted, lines):
    assert lines == wanted
