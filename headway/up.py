"""Shell: ``headway up``, one site on this machine until Ctrl-C: broker, manager and a worker."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from headway.cast import Cast, check_alive
from headway.errors import HeadwayError, ProvisionError
from headway.host import host_variant
from headway.provision import ensure_models, ensure_mosquitto
from observability import log
from schemas.places import cache_dir

CHECK_EVERY_S = 0.5
EXIT_FAILED, EXIT_UNAVAILABLE = 1, 3

HELP = """Start broker, manager and a worker on this machine and keep them until Ctrl-C.

Everything listens on loopback only and is not secured: for trying out and development.

Example: headway up --state .headway --listen 127.0.0.1:7447
"""


def up(
    *,
    state: Annotated[Path, typer.Option(help="Folder for databases, artifacts and logs.")] = Path(".headway"),
    site: Annotated[str, typer.Option(help="Name of the site in every topic.")] = "demo",
    port: Annotated[int | None, typer.Option(help="Broker port; a free one by default.")] = None,
    listen: Annotated[str, typer.Option(help="Address of the manager's REST interface.")] = "127.0.0.1:7447",
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one JSON line.")] = False,
) -> None:
    """Start a site; exits with 1 when a part of it dies."""
    log.configure("up", level="warning")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    try:
        cache = cache_dir(os.environ)
        with Cast(
            folder=state, site=site, mosquitto=ensure_mosquitto(cache), port=port, listen=listen
        ) as cast:
            _start(cast, models=ensure_models(cache), as_json=as_json)
            while not ended.wait(CHECK_EVERY_S):
                check_alive(cast)
    except HeadwayError as error:
        typer.echo(f"headway up: {error}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE if isinstance(error, ProvisionError) else EXIT_FAILED) from error


up.__doc__ = HELP


def _start(cast: Cast, *, models: dict[str, Path], as_json: bool) -> None:
    cast.start_broker()
    cast.start_manager()
    folder = next(iter(models.values())).parent
    cast.start_worker("w-1", models=folder, variant=host_variant())
    addresses = {"broker": cast.broker_url, "manager": cast.manager_url, "site": cast.site, "worker": "w-1"}
    if as_json:
        typer.echo(json.dumps(addresses))
        return
    typer.echo(f"broker   {cast.broker_url}   (loopback only, not secured)")
    typer.echo(f"manager  {cast.manager_url}   (REST, OpenAPI at /docs)")
    typer.echo(f"worker   w-1 answers hands at site {cast.site}; logs in {cast.logs}")
    typer.echo(
        f"next     headway node run --id hs-1 --site {cast.site} --broker {cast.broker_url} --source webcam:0 "
        f"--state {cast.folder / 'hs-1'} --models {folder}"
    )
    typer.echo("stop     Ctrl-C")
