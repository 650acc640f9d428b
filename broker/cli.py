"""The command `headway broker`: run the embedded one, or write a configuration for production.

Shell: reads options, prints results. Exit codes: 0 ok, 1 failed, 2 usage, 3 not
available, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from broker.address import parse_url
from broker.credentials import read_password
from broker.errors import BrokerRefused, BrokerUnavailable, RoadError, RoadMisuse
from broker.external import probe
from broker.login_options import PasswordFileOption, UsernameOption
from broker.mosquitto import EmbeddedMosquitto, find_mosquitto
from broker.mosquitto_conf import Purpose
from broker.production import Production, write_production
from schemas.errors import TopicError
from schemas.places import cache_dir

EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_INTERRUPTED = 1, 2, 3, 130

broker = typer.Typer(no_args_is_help=True, help="Run or configure the broker. Example: headway broker run")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@broker.command(epilog="Example: headway broker run --port 1883 --json")
def run(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="TCP port; a free one by default.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Folder for its files; a temporary one by default.")
    ] = None,
    persist: Annotated[bool, typer.Option(help="Keep retained messages in the folder.")] = False,
    cache: Annotated[Path | None, typer.Option(envvar="HEADWAY_CACHE", help="Folder with downloads.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the embedded broker in the foreground until Ctrl-C. It listens on this machine only."""
    if persist and directory is None:
        _fail(RoadMisuse("--persist needs --directory: a temporary folder keeps nothing"), EXIT_USAGE)
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())  # ahead of the word that it runs
    with tempfile.TemporaryDirectory(prefix="headway-broker-") as scratch:
        try:
            mosquitto = EmbeddedMosquitto(
                find_mosquitto(cache or cache_dir(os.environ)),
                directory or Path(scratch),
                port=port,
                persistence=persist,
            )
            with mosquitto:
                _announce(mosquitto, as_json=as_json)
                ended.wait()
        except BrokerUnavailable as error:
            _fail(error, EXIT_UNAVAILABLE)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        finally:
            signal.signal(signal.SIGTERM, before)


@broker.command(epilog="Example: headway broker check mqtt://broker.site:1883 --json")
def check(
    url: Annotated[str, typer.Argument(help="The broker, as mqtt://host:port.")],
    *,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask any broker whether it is there and which MQTT versions it speaks."""
    try:
        password = read_password(password_file) if password_file else None
        answer = probe(parse_url(url), username=username, password=password)
    except RoadMisuse as error:
        _fail(error, EXIT_USAGE)
    except BrokerUnavailable as error:
        _fail(error, EXIT_UNAVAILABLE)
    except BrokerRefused as error:
        _fail(error, EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps({"url": str(answer.address), "protocols": list(answer.protocols)}))
    else:
        versions = " and ".join("3.1.1" if each == 311 else str(each) for each in answer.protocols)
        typer.echo(f"{answer.address} speaks MQTT {versions}")


@broker.command(
    epilog="Example: headway broker config --purpose data --site plant-1 --out /etc/mosquitto/headway "
    "--user device:hs-1 --user worker:w-1 --user manager:office"
)
def config(
    *,
    purpose: Annotated[Purpose, typer.Option(help="data: frames, nothing on disk. control: kept on disk.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; without it, print mosquitto.conf.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="The clients' site; without it, every site.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="ROLE:ID of a client; may repeat.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 1883,
    bind: Annotated[str | None, typer.Option(help="Address to listen on; all by default.")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make new passwords for everybody.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write mosquitto.conf, the access list and passwords; who has a password keeps it."""
    try:
        production = Production.of(purpose, site=site, users=user or [], port=port, bind=bind)
        if out is None:
            typer.echo(production.conf(Path("/etc/mosquitto/headway")).text(), nl=False)
            return
        written = write_production(production, out, rotate=rotate)
    except (RoadMisuse, TopicError) as error:
        _fail(error, EXIT_USAGE)
    except (RoadError, OSError) as error:
        _fail(error, EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in written], "users": production.names}))
        return
    for path in written:
        typer.echo(f"wrote {path}")
    if any(path.name == "secrets.json" for path in written):
        typer.echo("secrets.json holds the new passwords: hand each to its client, then delete it")
    else:
        typer.echo("everybody keeps the password they have; --rotate makes new ones")


def _announce(mosquitto: EmbeddedMosquitto, *, as_json: bool) -> None:
    if as_json:
        facts = {"url": mosquitto.url, "version": mosquitto.version, "pid": mosquitto.pid, "secured": False}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"Mosquitto {mosquitto.version} at {mosquitto.url}")
    typer.echo("It is reachable from this machine only and is not secured. Ctrl-C ends it.")


def _fail(error: Exception, code: int) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)
