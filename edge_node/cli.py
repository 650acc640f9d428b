"""The ``node`` and ``telemetry`` commands. Options become settings; nothing is decided here.

Exit codes: 0 ok, 1 failed, 2 usage, 3 a source, broker or folder is unavailable or the id is taken,
130 interrupted.
"""

import itertools
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from broker.credentials import read_password
from broker.errors import RoadError, RoadMisuse
from broker.login_options import PasswordFileOption, UsernameOption
from edge_node import command_options as options
from edge_node.errors import EdgeError, SettingsError
from edge_node.split_file import read_split_file
from inference.errors import InferenceError
from observability import log
from schemas.documents import SplitConfig, TelemetryMirror
from schemas.errors import TopicError

if TYPE_CHECKING:  # importing it for real would load engines for `--help`
    from edge_node.settings import NodeSettings

EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_INTERRUPTED = 2, 3, 130

node = typer.Typer(
    help="Run a headset. Example: headway node walk --photos photos --out walk.ring", no_args_is_help=True
)
telemetry = typer.Typer(
    help="Follow what headsets report. Example: headway telemetry tail --broker mqtt://127.0.0.1:1883 --json",
    no_args_is_help=True,
)


@telemetry.callback()
def _telemetry() -> None:
    """Keep ``tail`` a command of its own: an app of one command would swallow its name."""


def _fail(error: Exception, code: int, *, command: str = "node") -> NoReturn:
    typer.echo(f"headway {command}: {error}", err=True)
    raise typer.Exit(code)


@node.command()
def run(
    *,
    device: options.DeviceOption,
    broker: options.BrokerOption,
    source: options.SourceOption = None,
    source_file: options.SourceFileOption = None,
    state: options.StateOption,
    models: options.ModelsOption,
    site: options.SiteOption = "demo",
    data_broker: options.DataBrokerOption = None,
    device_class: options.DeviceClassOption = "host",
    split_config: options.SplitConfigOption = None,
    policy: options.PolicyOption = None,
    placement: options.PlacementOption = None,
    deadline_ms: options.DeadlineOption = None,
    rtt_threshold_ms: options.RttThresholdOption = None,
    fps: options.FpsOption = 30.0,
    variant: options.VariantOption = "full",
    max_hands: options.MaxHandsOption = 1,
    seconds: options.SecondsOption = None,
    events: options.EventsOption = None,
    record: options.RecordOption = None,
    offset: options.OffsetOption = None,
    seed: options.SeedOption = 1,
    mqtt: options.MqttOption = 5,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    log_level: options.LogLevelOption = "warning",
    as_json: options.SummaryOption = False,
) -> None:
    """Run one headset until stopped.

    Example: headway node run --id hs-1 --broker mqtt://127.0.0.1:1883 --source folder:photos
    --state state/hs-1 --models ~/.cache/headway/models --seconds 30 --json
    """

    def settings() -> "NodeSettings":
        from edge_node.settings import NodeSettings  # noqa: PLC0415 - engines load only when a headset runs

        return NodeSettings(
            device=device,
            site=site,
            broker_url=broker,
            data_url=data_broker,
            source=_source(source, source_file),
            state=state,
            models=models,
            device_class=device_class,
            split=_split_config(
                split_config,
                policy=policy,
                placement=_placement(placement),
                deadline_ms=deadline_ms,
                rtt_threshold_ms=rtt_threshold_ms,
            ),
            fps=fps,
            variant=variant,
            max_hands=max_hands,
            seconds=seconds,
            events=events,
            record=record,
            offset=offset,
            seed=seed,
            protocol=_protocol(mqtt),
            username=username,
            password=_password(password_file),
        )

    _run_node(settings, device=device, log_level=log_level, as_json=as_json)


def _run_node(
    make_settings: "Callable[[], NodeSettings]", *, device: str, log_level: str, as_json: bool
) -> None:
    """Run a headset to its end and say how it went; leaves with the exit code where that is not 0."""
    from edge_node.main import run_node  # noqa: PLC0415 - engines load only when a headset runs

    log.configure("node", device, json=as_json, level=log_level)
    interrupts = _Interrupts()
    try:
        summary = run_node(make_settings(), on_ready=interrupts.watch)
    except SettingsError as error:
        _fail(error, EXIT_USAGE)
    except (EdgeError, InferenceError, RoadError) as error:
        _fail(error, EXIT_UNAVAILABLE)
    typer.echo(json.dumps(summary) if as_json else _in_words(summary))
    if interrupts.seen is signal.SIGINT:
        raise typer.Exit(EXIT_INTERRUPTED)


@node.command()
def walk(
    *,
    photos: Annotated[Path, typer.Option(help="Folder of photos with hands.")],
    out: Annotated[Path, typer.Option(help="File to write the frames to.")],
    seconds: Annotated[float, typer.Option(help="Length before it turns round.", min=0.1, max=120)] = 12.0,
    fps: Annotated[float, typer.Option(help="Frames per second.", min=1, max=240)] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of the head's path and the camera's noise.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Render a walk over photos ahead of time, for any number of headsets.

    Example: headway node walk --photos photos --out walk.ring
    """
    from edge_node.sources import make_walk  # noqa: PLC0415 - OpenCV loads only when needed

    try:
        ring = make_walk(photos, out=out, fps=fps, seconds=seconds, seed=seed)
    except EdgeError as error:
        _fail(error, EXIT_UNAVAILABLE)
    result = {"file": str(out), "frames": ring.frames, "width": ring.width, "height": ring.height, "fps": fps}
    typer.echo(json.dumps(result) if as_json else f"{ring.frames} frames in {out}")


@telemetry.command()
def tail(
    *,
    broker: Annotated[str, typer.Option(help="The broker that carries frames, as mqtt://host:port.")],
    site: Annotated[str, typer.Option(help="Site to follow.")] = "demo",
    device: Annotated[str | None, typer.Option("--id", help="One headset only; default: all.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; default: run on.")] = None,
    count: Annotated[int | None, typer.Option(help="Stop after so many lines.", min=1)] = None,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Follow what headsets report, one line per headset and second.

    Example: headway telemetry tail --broker mqtt://127.0.0.1:1883 --json
    """
    from edge_node.tail import follow_telemetry  # noqa: PLC0415 - the road loads only when followed

    log.configure("telemetry", json=as_json, level="warning")
    lines = itertools.count(1)

    def show(document: TelemetryMirror) -> bool:
        typer.echo(document.model_dump_json() if as_json else _telemetry_line(document))
        return count is None or next(lines) < count

    try:
        follow_telemetry(
            broker,
            site=site,
            device=device,
            show=show,
            clock_s=time.monotonic,
            seconds=seconds,
            username=username,
            password=_password(password_file),
        )
    except SettingsError as error:
        _fail(error, EXIT_USAGE, command="telemetry")
    except (EdgeError, RoadError, TopicError) as error:
        _fail(error, EXIT_UNAVAILABLE, command="telemetry")
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _telemetry_line(document: TelemetryMirror) -> str:
    latency = document.latency_ms
    return (
        f"{document.device:<12} {document.mode:<8} {document.fps:5.1f} fps  p50 {latency['p50']:6.1f} ms"
        f"  p99 {latency['p99']:6.1f} ms  age {document.age_p99_ms:6.1f} ms  rtt {document.rtt_ms:5.1f} ms"
        f"  {document.temperature_c:4.1f} C  {document.battery_fraction:4.0%}  {document.model}"
    )


class _Interrupts:
    """The first SIGINT or SIGTERM stops the headset gently; a second SIGINT ends the process."""

    def __init__(self) -> None:
        self.seen: signal.Signals | None = None

    def watch(self, headset: Any) -> None:
        """Stop this headset when a signal comes."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self.seen = signal.Signals(number)
            headset.stop()
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)


def _split_config(file: Path | None, /, **flags: object) -> SplitConfig:
    fields = read_split_file(file) if file else {}
    fields |= {name: value for name, value in flags.items() if value is not None}
    try:
        return SplitConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"the split config cannot stand: {where}{': ' if where else ''}{first['msg']}"
        ) from error


def _placement(text: str | None) -> dict[str, int] | None:
    if text is None:
        return None
    head_end, colon, tail_start = text.partition(":")
    if not (colon and head_end.isdecimal() and tail_start.isdecimal()):
        raise SettingsError(f"--placement is {text!r}: write two positions, such as 20:59")
    return {"head_end": int(head_end), "tail_start": int(tail_start)}


def _protocol(mqtt: int) -> Any:
    if mqtt not in {5, 311}:
        raise SettingsError(f"--mqtt is {mqtt}: choose 5 or 311")
    return mqtt


def _password(file: Path | None) -> str | None:
    try:
        return read_password(file) if file else None
    except RoadMisuse as error:
        raise SettingsError(str(error)) from error


def _source(source: str | None, file: Path | None) -> str:
    from edge_node.source_file import read_source  # noqa: PLC0415 - only a headset has a source

    if source is not None and file is None:
        return source
    if file is not None and source is None:
        return read_source(file)
    raise SettingsError("a headset needs one source: pass either --source or --source-file")


def _in_words(summary: dict[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in summary.items())


if __name__ == "__main__":
    sys.exit("run this through the `headway` command")
