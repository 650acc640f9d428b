"""The ``worker`` command. Options become ``WorkerOptions``; nothing is decided here."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from broker.login_options import PasswordFileOption, UsernameOption
from cloud_worker import command_options as given

if TYPE_CHECKING:
    from cloud_worker.main import WorkerOptions

worker = typer.Typer(
    help="Answer frames for headsets. Example: headway worker run --id w-1 --models ~/.cache/headway/models",
    no_args_is_help=True,
)

_FAILED, _USAGE, _UNAVAILABLE = 1, 2, 3


@worker.callback()
def _group() -> None:
    """Keep ``run`` a command of its own: an app of one command would swallow its name."""


@worker.command(
    epilog="Example: headway worker run --id w-1 --site demo --broker mqtt://127.0.0.1:1883 "
    "--models ~/.cache/headway/models"
)
def run(  # noqa: PLR0917 - typer reads one parameter per option
    worker_id: given.WorkerIdOption,
    broker: given.BrokerOption,
    site: given.SiteOption = "demo",
    data_broker: given.DataBrokerOption = None,
    task: given.TaskOption = "hands",
    models: given.ModelsOption = None,
    runtime: given.RuntimeOption = "litert",
    provider: given.ProviderOption = None,
    slots: given.SlotsOption = 1,
    queue: given.QueueOption = 1024,
    state: given.StateOption = Path(".headway/worker"),
    variant: given.VariantOption = "full",
    max_hands: given.MaxHandsOption = 2,
    max_pixels: given.MaxPixelsOption = 4096 * 2160,
    null_reply_bytes: given.NullReplyBytesOption = 1024,
    protocol: given.ProtocolOption = given.Protocol.V5,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    as_json: given.JsonOption = False,  # noqa: FBT002 - a switch of the command line
) -> None:
    """Serve headsets until SIGTERM or Ctrl-C: then refuse new work, finish what runs, and leave."""
    from cloud_worker.main import WorkerOptions  # noqa: PLC0415 - `--help` needs neither models nor broker

    options = WorkerOptions(
        worker=worker_id,
        site=site,
        broker_url=broker,
        data_url=data_broker,
        state_dir=state,
        task=task,
        runtime=runtime,
        models_dir=models,
        providers=tuple(provider or ()),
        slots=slots,
        queue_depth=queue,
        variant=variant,
        max_hands=max_hands,
        max_pixels=max_pixels,
        null_reply_bytes=null_reply_bytes,
        username=username,
        password=_password(password_file),
        protocol=5 if protocol is given.Protocol.V5 else 311,
    )
    _serve(options, as_json=as_json)


def _password(file: Path | None) -> str | None:
    from broker.credentials import read_password  # noqa: PLC0415 - as in ``run``
    from broker.errors import RoadMisuse  # noqa: PLC0415 - the same

    try:
        return read_password(file) if file else None
    except RoadMisuse as error:
        raise _end(error, code=_USAGE) from error


def _serve(options: WorkerOptions, *, as_json: bool) -> None:
    """Run the worker to its end; its errors become exit codes."""
    from broker.errors import RoadError, RoadMisuse  # noqa: PLC0415 - as in ``run``
    from cloud_worker.errors import WorkerConfigError, WorkerError  # noqa: PLC0415 - the same
    from cloud_worker.main import run_worker  # noqa: PLC0415 - the same
    from observability import log  # noqa: PLC0415 - the same
    from schemas.errors import SchemaError  # noqa: PLC0415 - the same

    log.configure("worker", options.worker, json=as_json)
    stop = _stop_on_signals()
    try:
        report = run_worker(
            options, stop=stop, announce=lambda ready: _say(ready, event="ready", as_json=as_json)
        )
    except (WorkerConfigError, SchemaError, RoadMisuse) as error:
        raise _end(error, code=_USAGE) from error
    except (WorkerError, RoadError) as error:
        raise _end(error, code=_UNAVAILABLE) from error
    _say(report, event="stopped", as_json=as_json)
    if not report["drained"]:
        raise _end("a running request was given up: allow more time before SIGTERM", code=_FAILED)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _say(facts: dict[str, object], *, event: str, as_json: bool) -> None:
    if as_json:
        line = json.dumps({"event": event, **facts})
    else:
        line = f"{event}: " + ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _end(error: object, *, code: int) -> typer.Exit:
    typer.echo(f"headway worker: {error}", err=True)
    return typer.Exit(code)
