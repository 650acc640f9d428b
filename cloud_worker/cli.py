"""The ``worker`` command. Options become ``WorkerOptions``; nothing is decided here."""

import json
import signal
import sys
import threading
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from broker.login_options import PasswordFileOption, UsernameOption

worker = typer.Typer(
    help="Answer frames for headsets. Example: headway worker run --id w-1 --models ~/.cache/headway/models",
    no_args_is_help=True,
)

_FAILED, _USAGE, _UNAVAILABLE = 1, 2, 3


class Protocol(str, Enum):
    """MQTT protocols as they are written on the command line."""

    V5 = "5"
    V311 = "311"


@worker.callback()
def _group() -> None:
    """Keep ``run`` a command of its own: an app of one command would swallow its name."""


@worker.command(
    epilog="Example: headway worker run --id w-1 --site demo --broker mqtt://127.0.0.1:1883 "
    "--models ~/.cache/headway/models"
)
def run(  # noqa: PLR0917 - typer reads one parameter per option
    worker_id: Annotated[str, typer.Option("--id", help="Id of this worker, unique at the site.")],
    broker: Annotated[str, typer.Option(help="Broker of the control session: mqtt://host:port.")],
    site: Annotated[str, typer.Option(help="Site of the headsets to serve.")] = "demo",
    data_broker: Annotated[
        str | None, typer.Option(help="Broker that carries frames; the same one by default.")
    ] = None,
    task: Annotated[str, typer.Option(help="hands; with --runtime null any task.")] = "hands",
    models: Annotated[
        Path | None, typer.Option(envvar="HEADWAY_MODELS", help="Folder of model files.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="litert, tflite, onnxruntime, or null (computes nothing).")
    ] = "litert",
    provider: Annotated[
        list[str] | None, typer.Option(help="Execution provider of onnxruntime, best first; may repeat.")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=1024, help="Requests answered at a time.")] = 1,
    queue: Annotated[int, typer.Option(min=1, max=4096, help="Headsets that may wait in line.")] = 16,
    state: Annotated[
        Path, typer.Option(envvar="HEADWAY_STATE", help="Folder of the session counter.")
    ] = Path(".headway/worker"),
    variant: Annotated[str, typer.Option(help="Size of the hand models: full or lite.")] = "full",
    max_hands: Annotated[int, typer.Option(min=1, max=16, help="Hands looked for in a frame.")] = 2,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=1 << 28, help="Larger images are refused before they are decoded.")
    ] = 4096 * 2160,
    null_reply_bytes: Annotated[
        int, typer.Option(min=0, max=1 << 20, help="Size of the answer of --runtime null.")
    ] = 1024,
    protocol: Annotated[Protocol, typer.Option(help="MQTT protocol; 311 is 3.1.1.")] = Protocol.V5,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    as_json: Annotated[  # noqa: FBT002 - a switch of the command line
        bool, typer.Option("--json", help="A JSON line when ready and at the end.")
    ] = False,
) -> None:
    """Serve headsets until SIGTERM or Ctrl-C: then refuse new work, finish what runs, and leave."""
    # imported when called, so that `--help` needs neither models nor broker
    from broker.credentials import read_password  # noqa: PLC0415
    from broker.errors import RoadError, RoadMisuse  # noqa: PLC0415
    from cloud_worker.errors import WorkerConfigError, WorkerError  # noqa: PLC0415
    from cloud_worker.main import WorkerOptions, run_worker  # noqa: PLC0415
    from observability import log  # noqa: PLC0415
    from schemas.errors import SchemaError  # noqa: PLC0415

    try:
        password = read_password(password_file) if password_file else None
    except RoadMisuse as error:
        raise _end(error, code=_USAGE) from error
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
        password=password,
        protocol=5 if protocol is Protocol.V5 else 311,
    )
    log.configure("worker", worker_id, json=as_json)
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
