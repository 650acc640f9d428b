"""The command ``headway model place``: reads a model and its profiles, answers with a placement and its reasons."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from inference.errors import RuntimeMissingError
from inference.packages.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.placement.families import Family, Placements, three_tiers, u_shape
from inference.placement.inputs import Conditions, PlacementInputs, Rates, Tier, Wish
from inference.placement.profiled_inputs import find_candidates, placement_inputs
from inference.placement.profiles import read_profile
from inference.placement.words import Choice
from inference.terminal import EXIT_USAGE, JsonOption, NotFoundError, answer, answering, fail

_MS_NS = 1e6
_MBPS = 1e6
_LEVELS_HELP = "one number, or one a level of the profiles with the worst last"
# what people type -> what it is called, and what lists its placements
_FAMILIES: dict[str, tuple[Family, Callable[[PlacementInputs], Placements]]] = {
    "u": ("u-shape", u_shape),
    "three-tier": ("three-tier", three_tiers),
}


def place(
    model: ModelArgument,
    *,
    device: Annotated[str, typer.Option(help="Hardware class of the headset, or its profile's file.")],
    worker: Annotated[str, typer.Option(help="Hardware class of the worker, or its profile's file.")],
    rtt: Annotated[str, typer.Option(help=f"Round trip in ms: {_LEVELS_HELP}.")],
    uplink: Annotated[str, typer.Option(help=f"Uplink in Mbit/s: {_LEVELS_HELP}.")],
    deadline: Annotated[float, typer.Option(help="Deadline in ms.", min=0.001)],
    downlink: Annotated[str, typer.Option(help="Downlink in Mbit/s; default: as the uplink.")] = "",
    queue: Annotated[str, typer.Option(help=f"Wait at the worker in ms: {_LEVELS_HELP}.")] = "0",
    family: Annotated[
        str, typer.Option(help="u: the headset may finish; three-tier: headset, worker, cloud in that order.")
    ] = "u",
    cloud: Annotated[str, typer.Option(help="Hardware class of the cloud, as its profile names it.")] = "",
    cloud_rtt: Annotated[str, typer.Option(help="Round trip from worker to cloud in ms.")] = "0",
    cloud_queue: Annotated[str, typer.Option(help="Wait in the cloud in ms.")] = "0",
    backhaul: Annotated[
        float, typer.Option(help="Rate between worker and cloud in Mbit/s.", min=0.001)
    ] = float("inf"),
    device_watts: Annotated[
        float, typer.Option(help="What computing draws on the headset, in watts above idle.", min=0)
    ] = 0.0,
    radio_watts: Annotated[
        float, typer.Option(help="What the headset's radio draws while bytes travel, in watts.", min=0)
    ] = 0.0,
    joule_weight: Annotated[
        float, typer.Option(help="Milliseconds that one joule of the headset is worth.", min=0)
    ] = 0.0,
    worker_price: Annotated[float, typer.Option(help="Price of a second of the worker.", min=0)] = 0.0,
    cloud_price: Annotated[float, typer.Option(help="Price of a second of the cloud.", min=0)] = 0.0,
    price_weight: Annotated[
        float, typer.Option(help="Milliseconds that one unit of price is worth.", min=0)
    ] = 0.0,
    profile: Annotated[
        list[Path] | None, typer.Option(help="A profile; one of each piece of hardware that is named.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE=LOSS", help="Another model for the task, with the accuracy it loses."),
    ] = None,
    loss_limit: Annotated[
        float,
        typer.Option(help="Accuracy, or share by which JPEG moves the outputs, that may be lost.", min=0),
    ] = 0.05,
    shape: ShapeOption = None,
    plot: Annotated[Path | None, typer.Option(help="Draw latency against uplink to this PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which part of a model the headset runs and which the worker, and why.

    Example: headway model place yolox_nano.onnx --device hmd --worker desktop --rtt 4 --uplink 40 --deadline 20
    --profile hmd.json --profile desktop.json
    """
    if family not in _FAMILIES:
        fail(f"--family {family!r}: choose one of {', '.join(_FAMILIES)}", EXIT_USAGE)
    if cloud and family == "u":
        fail("a U-shape has no part in the cloud: add --family three-tier, or leave --cloud out", EXIT_USAGE)
    with answering():
        named: dict[Tier, str] = {"device": device, "worker": worker}
        if cloud:
            named["cloud"] = cloud
        candidates = find_candidates(
            [(model_file(model), 0.0), *_variants(variant)],
            named=named,
            given=[read_profile(_there(path)) for path in profile or []],
        )
        count = len(candidates[0].tiers["device"].levels)
        conditions = Conditions(
            uplink_bps=_values(uplink, count, "--uplink", unit=_MBPS, least=1e-6),
            downlink_bps=_values(downlink or uplink, count, "--downlink", unit=_MBPS, least=1e-6),
            rtt_ns=_values(rtt, count, "--rtt", unit=_MS_NS, least=0),
            queue_ns=_values(queue, count, "--queue", unit=_MS_NS, least=0),
            cloud_rtt_ns=_values(cloud_rtt, count, "--cloud-rtt", unit=_MS_NS, least=0),
            cloud_queue_ns=_values(cloud_queue, count, "--cloud-queue", unit=_MS_NS, least=0),
        )
        rates = Rates(
            device_w=device_watts,
            radio_w=radio_watts,
            worker_price_per_s=worker_price,
            cloud_price_per_s=cloud_price,
        )
        inputs = placement_inputs(
            candidates, rates=rates, backhaul_bps=backhaul * _MBPS, shapes=chosen_shapes(shape)
        )
        wish = Wish(
            deadline_ns=deadline * _MS_NS,
            joule_ns=joule_weight * _MS_NS,
            price_ns=price_weight * _MS_NS,
            loss_limit=loss_limit,
        )
        called, listed = _FAMILIES[family]
        choice = Choice(
            inputs=inputs, placements=listed(inputs), conditions=conditions, wish=wish, family=called
        )
        view: dict[str, Any] = {"model": model.name, "model_sha256": candidates[0].digest, "family": called}
        view |= dict(named) | {"deadline_ms": deadline} | choice.explained()
        if plot is not None:
            _draw(plot, choice)
        answer(view, as_json=as_json, lines=_lines(view))


def _variants(words: list[str] | None) -> list[tuple[Path, float]]:
    """Further models with their accuracy loss, from ``FILE=LOSS``; ends the command where one is none."""
    found = []
    for word in words or []:
        name, _, number = word.rpartition("=")
        try:
            loss = float(number)
        except ValueError:
            loss = -1.0
        if not name or not 0 <= loss <= 1:
            fail(
                f"--variant {word!r}: give a file and its loss from 0 to 1, as in lite.tflite=0.02",
                EXIT_USAGE,
            )
        found.append((model_file(Path(name)), loss))
    return found


def _values(text: str, count: int, option: str, *, unit: float, least: float) -> tuple[float, ...]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        fail(f"{option} {text!r}: give one number, or {count} with commas between", EXIT_USAGE)
    if len(numbers) not in {1, count} or not all(least <= number < float("inf") for number in numbers):
        fail(f"{option} {text!r}: give 1 or {count} numbers, none below {least:g}", EXIT_USAGE)
    return tuple(number * unit for number in (numbers * count if len(numbers) == 1 else numbers))


def _draw(path: Path, choice: Choice) -> None:
    try:  # matplotlib is an extra that headsets and workers do not have
        module = import_module("inference.placement.plot")
    except ImportError as error:
        raise RuntimeMissingError(f"cannot draw here ({error}): install headway[plot]") from error
    module.draw_placements(path, choice)


def _lines(view: dict[str, Any]) -> list[str]:
    chosen = view["chosen"]
    terms = "  ".join(f"{name} {value:.3f}" for name, value in chosen["terms_ms"].items() if value)
    lines = [
        f"{chosen['id']}: {chosen['words']}",
        f"  in time ({view['deadline_ms']:g} ms) with probability {chosen['chance']:.3f}",
        f"  expected {chosen['expected_ms']:.3f} ms",
        f"  ms at the first level: {terms}",
        *(
            f"  {name.replace('_', ' ')}: {chosen[name]:g}"
            for name in ("energy_mj", "price")
            if name in chosen
        ),
        "not chosen:",
        *(f"  {row['id']}: {row['why_not']}" for row in view["runners_up"]),
        "fastest by uplink (first level):",
    ]
    for row in view["survivors"]:
        until = "and above" if row["to_mbps"] is None else f"to {row['to_mbps']:g}"
        lines.append(f"  {row['from_mbps']:g} {until} Mbit/s: {row['id']}")
    return lines


def _there(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}: check the path")
    return path
