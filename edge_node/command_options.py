"""Vocabulary: the options of ``node run``, one type each. Their defaults stand where the command is defined."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.deployments import POLICY_WORDS, SplitConfig

DEFAULTS = SplitConfig()

DeviceOption = Annotated[str, typer.Option("--id", help="This headset's id: a-z, 0-9 and dashes.")]
BrokerOption = Annotated[str, typer.Option(help="Control broker, as mqtt://host:port.")]
DataBrokerOption = Annotated[str | None, typer.Option(help="Broker for frames; default: the same.")]
SourceOption = Annotated[
    str | None, typer.Option(help="walk:FILE, walk:DIR, folder:DIR, video:FILE, webcam:0 or rtsp://…")
]
SourceFileOption = Annotated[
    Path | None, typer.Option(help="File with the source, for an address with a password (chmod 600).")
]
StateOption = Annotated[Path, typer.Option(help="Folder for what this headset must remember.")]
ModelsOption = Annotated[Path, typer.Option(help="Folder with the models it is delivered with.")]
SiteOption = Annotated[str, typer.Option(help="Site it belongs to.")]
DeviceClassOption = Annotated[str, typer.Option(help="host, xr-slow or xr-fast (simulated).")]
SplitConfigOption = Annotated[
    Path | None, typer.Option(help="A split config as YAML or JSON; other options go before its fields.")
]
PolicyOption = Annotated[
    str | None, typer.Option(help=f"One of {POLICY_WORDS}.", show_default=DEFAULTS.policy)
]
PlacementOption = Annotated[
    str | None,
    typer.Option(help="For policy split: HEAD_END:TAIL_START, the operators that a worker runs."),
]
DeadlineOption = Annotated[
    float | None,
    typer.Option(
        help="A frame's deadline after its scheduled moment.", show_default=f"{DEFAULTS.deadline_ms:g}"
    ),
]
RttThresholdOption = Annotated[
    float | None,
    typer.Option(help="Highest round trip for offloading.", show_default=f"{DEFAULTS.rtt_threshold_ms:g}"),
]
FpsOption = Annotated[float, typer.Option(help="Frames per second of wall time.")]
VariantOption = Annotated[str, typer.Option(help="Size of the delivered models: full or lite.")]
MaxHandsOption = Annotated[int, typer.Option(help="Hands to track at once.")]
SecondsOption = Annotated[float | None, typer.Option(help="Stop after so long; default: run on.")]
EventsOption = Annotated[Path | None, typer.Option(help="Write one JSON line per frame here.")]
RecordOption = Annotated[Path | None, typer.Option(help="Write an overlay video (.mp4) here at the end.")]
OffsetOption = Annotated[int | None, typer.Option(help="First frame in a shared walk; default: by id.")]
SeedOption = Annotated[int, typer.Option(help="Seed of simulated durations and of a rendered walk.")]
MqttOption = Annotated[int, typer.Option(help="MQTT protocol: 5 or 311.")]
LogLevelOption = Annotated[str, typer.Option(help="debug, info, warning or error.")]
SummaryOption = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON line.")]
