"""How the commands speak: answers to stdout (a table, or JSON), errors to stderr, and the exit code."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from fleet_manager.client import ManagerClient
from fleet_manager.errors import FleetError, NotFoundError, UnreachableError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3

ManagerOption = Annotated[
    str, typer.Option("--manager", envvar="HEADWAY_MANAGER", help="The manager's URL.", metavar="URL")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
DEFAULT_MANAGER = "http://127.0.0.1:7447"


@contextmanager
def speaking_to(manager: str) -> Iterator[ManagerClient]:
    """A client; what the manager refuses ends the command with its reason on stderr."""
    try:
        with ManagerClient(manager) as client:
            yield client
    except FleetError as error:
        typer.echo(f"error: {error}", err=True)
        absent = isinstance(error, NotFoundError | UnreachableError)
        raise typer.Exit(EXIT_NOT_FOUND if absent else EXIT_FAILED) from error


def say_json(value: Any) -> None:
    """One JSON document, one line."""
    typer.echo(json.dumps(value, sort_keys=True))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table."""
    made = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        made.add_row(*("-" if cell in (None, "") else str(cell) for cell in row))
    return made


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; wide enough for a file or a pipe when stdout is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table(columns, rows))
