"""How the model commands speak: answers to stdout, steps and errors to stderr, and the exit code."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inference.errors import InferenceError, ManagerUnreachableError, NotFoundError, RuntimeMissingError
from inference.packages.package import Package

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3

JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
ManagerOption = Annotated[
    str, typer.Option("--manager", envvar="HEADWAY_MANAGER", help="The manager's URL.", metavar="URL")
]
_LIST_COLUMNS = ("name", "version", "task", "quantisation", "total_bytes", "digest")
_AGREEMENT_COLUMNS = ("samples", "median", "p90", "max", "flips", "borderline_flips")
_PIPE_WIDTH = 200


@contextmanager
def answering() -> Iterator[None]:
    """Turn this room's errors, and files that cannot be written, into one line on stderr and an exit code."""
    try:
        yield
    except (NotFoundError, ManagerUnreachableError, RuntimeMissingError) as error:
        fail(str(error), EXIT_NOT_FOUND)
    except InferenceError as error:
        fail(str(error), EXIT_FAILED)
    except BrokenPipeError:
        raise  # who read the answer has gone, which no space on a disk helps
    except OSError as error:
        fail(f"{error}: free some space or choose another folder", EXIT_FAILED)


def fail(message: str, code: int) -> NoReturn:
    """End the command with a reason."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def manager_to_ask(context: typer.Context, *, manager: str, store: Path | None) -> str:
    """The manager whose packages are meant; empty where a folder is: what is typed wins over the environment."""
    if store is None or not manager:
        return manager
    source = context.get_parameter_source("manager")
    if source is not None and source.name == "ENVIRONMENT":  # by name: typer may bring a click of its own
        return ""
    fail("--store and --manager name two places: leave one of them out", EXIT_USAGE)


def say_step(step: str) -> None:
    """What is being done, for people who wait."""
    typer.echo(step, err=True)


def answer(value: Any, *, as_json: bool, lines: Sequence[str] = ()) -> None:
    """One JSON document on one line, or lines for people."""
    typer.echo(json.dumps(value, sort_keys=True) if as_json else "\n".join(lines))


def list_view(package: Package) -> dict[str, Any]:
    """A package in a list."""
    manifest = package.manifest
    return {
        "digest": package.digest,
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "quantisation": manifest.quantisation,
        "model_digest": manifest.model_digest,
        "total_bytes": sum(file.bytes for file in manifest.files),
    }


def package_view(package: Package) -> dict[str, Any]:
    """A package with its manifest and its folder."""
    manifest = package.manifest.model_dump(mode="json")
    return {**list_view(package), "directory": str(package.directory), "manifest": manifest}


def show_packages(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """A list of packages."""
    if as_json:
        answer(list(rows), as_json=True)
        return
    show_table(_LIST_COLUMNS, [[row.get(column) for column in _LIST_COLUMNS] for row in rows])


def show_package(package: Package, *, as_json: bool) -> None:
    """One package: where it lies, what it was made of, and how every output agrees."""
    if as_json:
        answer(package_view(package), as_json=True)
        return
    for key, value in {**list_view(package), "directory": package.directory}.items():
        typer.echo(f"{key}: {value}")
    for key, value in package.manifest.calibration.items():
        typer.echo(f"{key}: {value}")
    if agreement := package.manifest.agreement:
        rows = [
            [name, *(record.get(key) for key in _AGREEMENT_COLUMNS)] for name, record in agreement.items()
        ]
        show_table(("output", *_AGREEMENT_COLUMNS), rows)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people, as wide as the terminal or wide enough for a file."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        numbers = all(isinstance(row[place], int | float) or row[place] in ("", None) for row in rows)
        table.add_column(column, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else escape(str(cell)) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=_PIPE_WIDTH)).print(table)
