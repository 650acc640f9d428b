"""The commands of ``headway device``, ``group`` and ``manager``; ``deploy`` lives in ``deploy_cli``.

All but ``manager run`` speak REST to a manager; only that one loads the database and the server.
"""

from pathlib import Path
from typing import Annotated

import typer

from broker.login_options import PasswordFileOption, UsernameOption
from fleet_manager.deploy_cli import deploy
from fleet_manager.device_screen import device_rows, journal_rows
from fleet_manager.explain_screen import CANDIDATE_COLUMNS, DECISION_COLUMNS, candidates, decisions, newest
from fleet_manager.terminal import (
    DEFAULT_MANAGER,
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    JsonOption,
    ManagerOption,
    say_json,
    say_table,
    speaking_to,
)

__all__ = ["deploy", "device", "group", "manager"]

device = typer.Typer(help="Headsets: list, show, approve. Example: headway device ls", no_args_is_help=True)
group = typer.Typer(
    help="Groups of headsets: create, add, remove, delete, list. Example: headway group add line-a hs-1 hs-2",
    no_args_is_help=True,
)
manager = typer.Typer(help="Run the fleet manager. Example: headway manager run", no_args_is_help=True)

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="The headset's id.")]
DevicesArgument = Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Ids of headsets.")]
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]


@device.command("ls")
def list_devices(*, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False) -> None:
    """List every headset that was ever seen.

    Example: headway device ls --json
    """
    with speaking_to(manager) as client:
        found = client.get("/devices")
    if as_json:
        say_json(found)
        return
    words = ("id", "admission", "connectivity", "device_class", "model", "state")
    rows = [[shown[word] for word in words] + _telemetry(shown["telemetry"]) for shown in found]
    say_table((*words, "mode", "fps", "p99 ms", "rtt ms", "battery"), rows)


def _telemetry(reading: dict[str, object] | None) -> list[object]:
    if reading is None:
        return [None] * 5
    latency = reading["latency_ms"]
    assert isinstance(latency, dict)
    battery = reading["battery_fraction"]
    numbers = [f"{value:.1f}" for value in (reading["fps"], latency["p99"], reading["rtt_ms"])]
    return [reading["mode"], *numbers, f"{battery:.0%}"]


@device.command("show")
def show_device(
    device_id: DeviceArgument, *, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False
) -> None:
    """Show a headset, what is desired of it and what it reported.

    Example: headway device show hs-1
    """
    with speaking_to(manager) as client:
        shown = client.get(f"/devices/{device_id}")
    if as_json:
        say_json(shown)
        return
    say_table(("field", "value"), device_rows(shown))
    say_table(("at", "what happened", "detail"), journal_rows(shown))


@device.command()
def explain(
    device_id: DeviceArgument,
    *,
    last: Annotated[int, typer.Option(help="How many decisions to list.", min=1, max=1000)] = 10,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Ask a headset why it computed its last frames where it did. Exit code 3: it is unknown or does not answer.

    Example: headway device explain hs-1 --last 5
    """
    with speaking_to(manager) as client:
        told = client.get(f"/devices/{device_id}/explain?last={last}")
    if as_json:
        say_json(told)
        return
    typer.echo(f"{device_id}: policy {told['policy']}, {told['mode']}: {told['reason']}")
    if not told["decisions"]:
        typer.echo("it keeps no single decisions: no frame was decided yet, or its software is older")
        return
    say_table(DECISION_COLUMNS, decisions(told["decisions"]))
    say_table(("newest decision", "value"), newest(told["decisions"][-1]))
    say_table(CANDIDATE_COLUMNS, candidates(told["decisions"][-1]))


@device.command()
def approve(
    device_id: DeviceArgument, *, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False
) -> None:
    """Admit a headset that is pending.

    Example: headway device approve hs-7
    """
    with speaking_to(manager) as client:
        shown = client.post(f"/devices/{device_id}/approve")
    say_json(shown) if as_json else typer.echo(f"{device_id} is {shown['admission']}")


@group.command("ls")
def list_groups(*, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False) -> None:
    """List groups and their members.

    Example: headway group ls
    """
    with speaking_to(manager) as client:
        found = client.get("/groups")
    if as_json:
        say_json(found)
        return
    say_table(("group", "members"), [(shown["name"], ", ".join(shown["members"])) for shown in found])


@group.command()
def show(
    name: GroupArgument, *, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False
) -> None:
    """Show one group.

    Example: headway group show line-a
    """
    with speaking_to(manager) as client:
        _say_group(client.get(f"/groups/{name}"), as_json=as_json)


@group.command()
def create(
    name: GroupArgument, *, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False
) -> None:
    """Create an empty group.

    Example: headway group create line-a
    """
    with speaking_to(manager) as client:
        _say_group(client.post("/groups", {"name": name}), as_json=as_json)


@group.command()
def delete(
    name: GroupArgument, *, manager: ManagerOption = DEFAULT_MANAGER, as_json: JsonOption = False
) -> None:
    """Delete a group; its headsets keep what they run.

    Example: headway group delete line-a
    """
    with speaking_to(manager) as client:
        client.delete(f"/groups/{name}")
    say_json({"name": name, "deleted": True}) if as_json else typer.echo(f"{name} is deleted")


@group.command()
def add(
    name: GroupArgument,
    devices: DevicesArgument,
    *,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Put headsets into a group.

    Example: headway group add line-a hs-1 hs-2
    """
    with speaking_to(manager) as client:
        for device_id in devices:
            shown = client.post(f"/groups/{name}/members", {"device": device_id})
        _say_group(shown, as_json=as_json)


@group.command()
def remove(
    name: GroupArgument,
    devices: DevicesArgument,
    *,
    manager: ManagerOption = DEFAULT_MANAGER,
    as_json: JsonOption = False,
) -> None:
    """Take headsets out of a group; they keep what they run.

    Example: headway group remove line-a hs-2
    """
    with speaking_to(manager) as client:
        for device_id in devices:
            shown = client.delete(f"/groups/{name}/members/{device_id}")
        _say_group(shown, as_json=as_json)


def _say_group(shown: dict[str, object], *, as_json: bool) -> None:
    members = shown["members"]
    assert isinstance(members, list)
    say_json(shown) if as_json else typer.echo(f"{shown['name']}: {', '.join(members) or 'no members'}")


@manager.callback()
def the_office() -> None:
    """Run the fleet manager. Example: headway manager run."""  # a callback keeps `run` a word of its own


@manager.command("run")
def run_manager(
    *,
    broker: Annotated[str, typer.Option(help="The control broker, mqtt://host:port.")],
    data_broker: Annotated[str | None, typer.Option(help="The data broker, if it is another one.")] = None,
    site: Annotated[str, typer.Option(help="The site's id.")] = "demo",
    manager_id: Annotated[str, typer.Option("--id", help="This manager's id.")] = "office",
    db: Annotated[str | None, typer.Option(help="sqlite:///PATH or postgresql://…")] = None,
    artifacts: Annotated[Path, typer.Option(help="Folder of published packages.")] = Path(
        "headway-artifacts"
    ),
    listen: Annotated[
        str, typer.Option(help="HOST:PORT of the REST interface; port 0 picks one.")
    ] = "127.0.0.1:7447",
    embedded: Annotated[
        bool,
        typer.Option("--embedded/--no-embedded", help="The broker is this machine's own: admit at once."),
    ] = False,
    allow_remote: Annotated[
        bool, typer.Option(help="Listen beyond this machine although nobody is authenticated.")
    ] = False,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the fleet manager until it is told to stop (SIGTERM or Ctrl-C).

    Example: headway manager run --broker mqtt://127.0.0.1:1883 --site demo --embedded
    """
    from broker.credentials import read_password  # noqa: PLC0415  loaded only where it is run
    from broker.errors import BrokerRefused, RoadError, RoadMisuse  # noqa: PLC0415
    from fleet_manager.errors import FleetError, RefusedError  # noqa: PLC0415
    from fleet_manager.main import ManagerConfig, run  # noqa: PLC0415

    try:
        run(
            ManagerConfig(
                broker=broker,
                data_broker=data_broker,
                site=site,
                manager=manager_id,
                db=db or f"sqlite:///{artifacts / 'fleet.db'}",
                artifacts=artifacts,
                listen=listen,
                embedded=embedded,
                allow_remote=allow_remote,
                username=username,
                password=read_password(password_file) if password_file else None,
            ),
            as_json=as_json,
        )
    except (RoadError, FleetError) as error:
        typer.echo(f"error: {error}", err=True)
        codes = ((RefusedError | RoadMisuse, EXIT_USAGE), (BrokerRefused, EXIT_NOT_FOUND))
        code = next((code for kind, code in codes if isinstance(error, kind)), EXIT_FAILED)
        raise typer.Exit(code) from error
