"""The command ``headway model place``: reads a model and its profiles, answers with a placement and its reasons."""

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from inference.cache import models_dir
from inference.errors import PlacementError, RuntimeMissingError
from inference.placement import Conditions, ModelVariant, PlacementInputs, Wish
from inference.placement_bytes import transfer_bytes
from inference.placement_families import u_shape
from inference.placement_profiles import Profile, read_profile
from inference.placement_words import Choice
from inference.split import split_model
from inference.terminal import EXIT_USAGE, JsonOption, NotFoundError, answer, answering, fail

_MS_NS = 1e6
_MBPS = 1e6
_LEVELS_HELP = "one number, or one a level of the profiles with the worst last"


def place(
    model: Annotated[Path, typer.Argument(help="A model file; a bare name is looked up in the cache.")],
    *,
    device: Annotated[str, typer.Option(help="Hardware class of the headset, as its profile names it.")],
    worker: Annotated[str, typer.Option(help="Hardware class of the worker, as its profile names it.")],
    rtt: Annotated[str, typer.Option(help=f"Round trip in ms: {_LEVELS_HELP}.")],
    uplink: Annotated[str, typer.Option(help=f"Uplink in Mbit/s: {_LEVELS_HELP}.")],
    deadline: Annotated[float, typer.Option(help="Deadline in ms.", min=0.001)],
    downlink: Annotated[str, typer.Option(help="Downlink in Mbit/s; default: as the uplink.")] = "",
    queue: Annotated[str, typer.Option(help="Wait at the worker in ms.")] = "0",
    profile: Annotated[
        list[Path] | None, typer.Option(help="A profile; one of the headset, one of the worker.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw latency against uplink to this PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which part of a model the headset runs and which the worker, and why.

    Example: headway model place yolox_nano.onnx --device hmd --worker desktop --rtt 4 --uplink 40 --deadline 20
    --profile hmd.json --profile desktop.json
    """
    with answering():
        content = _model_file(model).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        profiles = [read_profile(_there(path)) for path in profile or []]
        near, far = (_profile_of(name, profiles, digest=digest, model=model) for name in (device, worker))
        if near.levels != far.levels:
            raise PlacementError(f"levels {near.levels} and {far.levels} differ: profile both sides alike")
        count = len(near.levels)
        conditions = Conditions(
            uplink_bps=_values(uplink, count, "--uplink", unit=_MBPS, least=1e-6),
            downlink_bps=_values(downlink or uplink, count, "--downlink", unit=_MBPS, least=1e-6),
            rtt_ns=_values(rtt, count, "--rtt", unit=_MS_NS, least=0),
            queue_ns=_values(queue, count, "--queue", unit=_MS_NS, least=0),
        )
        inputs = _inputs(content, name=model.stem, near=near, far=far)
        wish = Wish(deadline_ns=deadline * _MS_NS)
        choice = Choice(inputs=inputs, placements=u_shape(inputs), conditions=conditions, wish=wish)
        view = {"model": model.name, "model_sha256": digest, "device": device, "worker": worker}
        view |= {"deadline_ms": deadline} | choice.explained()
        if plot is not None:
            _draw(plot, choice)
        answer(view, as_json=as_json, lines=_lines(view))


def _inputs(content: bytes, *, name: str, near: Profile, far: Profile) -> PlacementInputs:
    split = split_model(content)
    positions = tuple(cut.position for cut in split.cuts)
    variant = ModelVariant(
        name=name,
        transfer=transfer_bytes(split.flow, positions),
        device=near.table(positions),
        worker=far.table(positions),
    )
    return PlacementInputs(variants=(variant,), levels=near.levels)


def _profile_of(hardware: str, profiles: list[Profile], *, digest: str, model: Path) -> Profile:
    for row in profiles:
        if row.hardware == hardware and row.model_sha256 == digest:
            return row
    known = ", ".join(sorted({row.hardware for row in profiles if row.model_sha256 == digest})) or "none"
    raise NotFoundError(
        f"no profile of {model.name} on {hardware} (given: {known}): run `headway model profile {model}` there "
        "and pass the file with --profile"
    )


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
        module = import_module("inference.placement_plot")
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
        "not chosen:",
        *(f"  {row['id']}: {row['why_not']}" for row in view["runners_up"]),
        "fastest by uplink (first level):",
    ]
    for row in view["survivors"]:
        until = "and above" if row["to_mbps"] is None else f"to {row['to_mbps']:g}"
        lines.append(f"  {row['from_mbps']:g} {until} Mbit/s: {row['id']}")
    return lines


def _model_file(path: Path) -> Path:
    imported = models_dir(os.environ) / path.name
    if not path.is_file() and path.parent == Path() and imported.is_file():
        return imported
    return _there(path)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}: check the path")
    return path
