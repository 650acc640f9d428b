"""Vocabulary: the options of ``model place``, one type each. Their defaults stand where the command is defined."""

from pathlib import Path
from typing import Annotated

import typer

_LEVELS_HELP = "one number, or one a level of the profiles with the worst last"

DeviceOption = Annotated[str, typer.Option(help="Hardware class of the headset, or its profile's file.")]
WorkerOption = Annotated[str, typer.Option(help="Hardware class of the worker, or its profile's file.")]
CloudOption = Annotated[str, typer.Option(help="Hardware class of the cloud, as its profile names it.")]
FamilyOption = Annotated[
    str, typer.Option(help="u: the headset may finish; three-tier: headset, worker, cloud in that order.")
]
RttOption = Annotated[str, typer.Option(help=f"Round trip in ms: {_LEVELS_HELP}.")]
UplinkOption = Annotated[str, typer.Option(help=f"Uplink in Mbit/s: {_LEVELS_HELP}.")]
DownlinkOption = Annotated[str, typer.Option(help="Downlink in Mbit/s; default: as the uplink.")]
QueueOption = Annotated[str, typer.Option(help=f"Wait at the worker in ms: {_LEVELS_HELP}.")]
CloudRttOption = Annotated[str, typer.Option(help="Round trip from worker to cloud in ms.")]
CloudQueueOption = Annotated[str, typer.Option(help="Wait in the cloud in ms.")]
BackhaulOption = Annotated[float, typer.Option(help="Rate between worker and cloud in Mbit/s.", min=0.001)]
DeadlineOption = Annotated[float, typer.Option(help="Deadline in ms.", min=0.001)]
DeviceWattsOption = Annotated[
    float, typer.Option(help="What computing draws on the headset, in watts above idle.", min=0)
]
RadioWattsOption = Annotated[
    float, typer.Option(help="What the headset's radio draws while bytes travel, in watts.", min=0)
]
JouleWeightOption = Annotated[
    float, typer.Option(help="Milliseconds that one joule of the headset is worth.", min=0)
]
WorkerPriceOption = Annotated[float, typer.Option(help="Price of a second of the worker.", min=0)]
CloudPriceOption = Annotated[float, typer.Option(help="Price of a second of the cloud.", min=0)]
PriceWeightOption = Annotated[
    float, typer.Option(help="Milliseconds that one unit of price is worth.", min=0)
]
LossLimitOption = Annotated[
    float, typer.Option(help="Accuracy, or share by which JPEG moves the outputs, that may be lost.", min=0)
]
ProfileOption = Annotated[
    list[Path] | None, typer.Option(help="A profile; one of each piece of hardware that is named.")
]
VariantOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE=LOSS", help="Another model for the task, with the accuracy it loses."),
]
PlotOption = Annotated[Path | None, typer.Option(help="Draw latency against uplink to this PNG.")]
