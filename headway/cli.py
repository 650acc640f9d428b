"""The door: one command, ``headway``. It finds the rooms' commands and loads only the one called.

Rooms offer their commands through the entry-point group ``headway.commands``. ``COMMANDS`` holds what
the door says about each before loading it, so that ``headway --help`` imports no room and a missing
extra is answered with the line that installs it.
"""

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

import typer

from headway.output import arriving

GROUP = "headway.commands"
EXIT_UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the door: what a room's command is for and which extra it needs."""

    name: str
    summary: str
    extra: str


COMMANDS: tuple[Command, ...] = (
    Command("device", "Headsets: list, show, approve.", "manager"),
    Command("group", "Groups of headsets: create, add, remove, list.", "manager"),
    Command("model", "Models: import, quantise, publish, list, show.", "quantize"),
    Command("deploy", "Deployments: apply, watch, list, show.", "manager"),
    Command("node", "Run a headset.", "edge"),
    Command("telemetry", "Follow what headsets report.", "edge"),
    Command("worker", "Run a worker that answers offloaded frames.", "worker"),
    Command("manager", "Run the fleet manager.", "manager"),
    Command("broker", "Run or configure the broker.", "edge"),
    Command("eval", "Measure a task against reference answers.", "edge"),
)


@dataclass(frozen=True, slots=True)
class Own:
    """One row of the door's own commands: ``headway.<name>``, or its home, holds a function of the same name."""

    name: str
    summary: str
    extra: str
    home: str = ""


OWN: tuple[Own, ...] = (
    Own("up", "Start broker, manager and a worker on this machine.", "worker,manager"),
    Own(
        "demo",
        "Drive the main job end to end and write pictures and a report.",
        "edge,worker,manager,quantize,plot",
    ),
    Own("doctor", "Check the set-up and name what to fix.", "edge"),
    Own("link", "Put a bad network in front of a broker.", "edge", home="link_command"),
)


def build(arguments: list[str]) -> typer.Typer:
    """The application for these arguments: the called room's commands loaded, the others only named.

    Raises:
        ModuleNotFoundError: a library of the called command's extra is missing.
    """
    app = typer.Typer(
        name="headway",
        help="Split inference and fleet management for AR headsets over MQTT. Example: headway demo",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    called = called_by(arguments)
    found = {point.name: point for point in entry_points(group=GROUP)}
    for own in OWN:
        home = f"headway.{own.home or own.name}"
        function = getattr(import_module(home), own.name) if own.name == called else _never
        app.command(own.name, help=None if own.name == called else own.summary)(function)
    for command in COMMANDS:
        if command.name == called:
            app.add_typer(_load(command, found), name=command.name)
        else:
            app.add_typer(typer.Typer(help=command.summary), name=command.name)
    return app


def _never() -> NoReturn:
    raise AssertionError("a summary was called as a command")


def called_by(arguments: list[str]) -> str:
    """The command that these arguments name; empty when they name none."""
    return next((word for word in arguments if not word.startswith("-")), "")


def _load(command: Command, found: dict[str, EntryPoint]) -> typer.Typer:
    """The room's application; exits with 3 when the room is not installed."""
    if command.name not in found:
        _unavailable(command.name, "the package's entry points are missing: reinstall it")
    loaded = found[command.name].load()
    if not isinstance(loaded, typer.Typer):
        raise TypeError(f"entry point {command.name!r} of group {GROUP!r} must be a typer.Typer")
    return loaded


def _unavailable(name: str, why: str) -> NoReturn:
    """Name the extra that this command needs and exit with 3."""
    rows: tuple[Command | Own, ...] = (*COMMANDS, *OWN)
    extra = {row.name: row.extra for row in rows}.get(name, "")
    typer.echo(f"headway: `{name}` is not available here; install headway[{extra}] ({why})", err=True)
    raise SystemExit(EXIT_UNAVAILABLE)


def main() -> None:
    """Run ``headway`` with the process's arguments.

    Some rooms load their heavy libraries only once a command runs, so a missing one is answered here.
    """
    arguments = sys.argv[1:]
    with arriving():
        try:
            build(arguments)()
        except ModuleNotFoundError as error:
            _unavailable(called_by(arguments), f"missing: {error.name}")


if __name__ == "__main__":
    main()
