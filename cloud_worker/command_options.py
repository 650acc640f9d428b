"""Vocabulary: the options of ``worker run``, one type each. Their defaults stand where the command is defined."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from inference.runtimes.registry import WORDS


class Protocol(str, Enum):
    """MQTT protocols as they are written on the command line."""

    V5 = "5"
    V311 = "311"


WorkerIdOption = Annotated[str, typer.Option("--id", help="Id of this worker, unique at the site.")]
BrokerOption = Annotated[str, typer.Option(help="Broker of the control session: mqtt://host:port.")]
SiteOption = Annotated[str, typer.Option(help="Site of the headsets to serve.")]
DataBrokerOption = Annotated[
    str | None, typer.Option(help="Broker that carries frames; the same one by default.")
]
TaskOption = Annotated[str, typer.Option(help="hands; with --runtime null any task.")]
ModelsOption = Annotated[Path | None, typer.Option(envvar="HEADWAY_MODELS", help="Folder of model files.")]
RuntimeOption = Annotated[
    str, typer.Option(help=f"Engine: one of {', '.join(WORDS)}; null computes nothing.")
]
ProviderOption = Annotated[
    list[str] | None,
    typer.Option(help="Execution provider of onnxruntime or device of OpenVINO, best first; may repeat."),
]
SlotsOption = Annotated[int, typer.Option(min=1, max=1024, help="Requests answered at a time.")]
QueueOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=4096,
        help="Headsets that may wait in line; a bound of memory, their budgets bound the line earlier.",
    ),
]
StateOption = Annotated[Path, typer.Option(envvar="HEADWAY_STATE", help="Folder of the session counter.")]
VariantOption = Annotated[str, typer.Option(help="Size of the hand models: full or lite.")]
MaxHandsOption = Annotated[int, typer.Option(min=1, max=16, help="Hands looked for in a frame.")]
MaxPixelsOption = Annotated[
    int, typer.Option(min=1, max=1 << 28, help="Larger images are refused before they are decoded.")
]
NullReplyBytesOption = Annotated[
    int, typer.Option(min=0, max=1 << 20, help="Size of the answer of --runtime null.")
]
ProtocolOption = Annotated[Protocol, typer.Option(help="MQTT protocol; 311 is 3.1.1.")]
JsonOption = Annotated[bool, typer.Option("--json", help="A JSON line when ready and at the end.")]
