"""The command ``headway model place``: reads a model and its profiles, answers with a placement and its reasons."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from inference.commands import place_options as options
from inference.commands.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.commands.terminal import EXIT_USAGE, JsonOption, answer, answering, fail
from inference.errors import NotFoundError, RuntimeMissingError
from inference.placement.families import Family, Placements, three_tiers, u_shape
from inference.placement.inputs import Conditions, PlacementInputs, Rates, Tier, Wish
from inference.placement.profiled_inputs import find_candidates, placement_inputs
from inference.placement.words import Choice
from inference.profile.stored import Profile, read_profile

_MS_NS = 1e6
_MBPS = 1e6
# what people type -> what it is called, and what lists its placements
_FAMILIES: dict[str, tuple[Family, Callable[[PlacementInputs], Placements]]] = {
    "u": ("u-shape", u_shape),
    "three-tier": ("three-tier", three_tiers),
}


def place(
    model: ModelArgument,
    *,
    device: options.DeviceOption,
    worker: options.WorkerOption,
    rtt: options.RttOption,
    uplink: options.UplinkOption,
    deadline: options.DeadlineOption,
    downlink: options.DownlinkOption = "",
    queue: options.QueueOption = "0",
    family: options.FamilyOption = "u",
    cloud: options.CloudOption = "",
    cloud_rtt: options.CloudRttOption = "0",
    cloud_queue: options.CloudQueueOption = "0",
    backhaul: options.BackhaulOption = float("inf"),
    device_watts: options.DeviceWattsOption = 0.0,
    radio_watts: options.RadioWattsOption = 0.0,
    joule_weight: options.JouleWeightOption = 0.0,
    worker_price: options.WorkerPriceOption = 0.0,
    cloud_price: options.CloudPriceOption = 0.0,
    price_weight: options.PriceWeightOption = 0.0,
    profile: options.ProfileOption = None,
    variant: options.VariantOption = None,
    loss_limit: options.LossLimitOption = 0.05,
    shape: ShapeOption = None,
    plot: options.PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which part of a model the headset runs and which the worker, and why.

    Example: headway model place yolox_nano.onnx --device hmd --worker desktop --rtt 4 --uplink 40 --deadline 20
    --profile hmd.json --profile desktop.json
    """
    named = _hardware(family, device=device, worker=worker, cloud=cloud)
    rates = Rates(
        device_w=device_watts,
        radio_w=radio_watts,
        worker_price_per_s=worker_price,
        cloud_price_per_s=cloud_price,
    )
    wish = Wish(
        deadline_ns=deadline * _MS_NS,
        joule_ns=joule_weight * _MS_NS,
        price_ns=price_weight * _MS_NS,
        loss_limit=loss_limit,
    )
    road = _Road(rtt, uplink, downlink or uplink, queue, cloud_rtt, cloud_queue)
    with answering():
        models = [(model_file(model), 0.0), *_variants(variant)]
        candidates = find_candidates(models, named=named, given=_profiles(profile))
        conditions = road.conditions(len(candidates[0].tiers["device"].levels))
        inputs = placement_inputs(
            candidates, rates=rates, backhaul_bps=backhaul * _MBPS, shapes=chosen_shapes(shape)
        )
        choice = _choice(family, inputs=inputs, conditions=conditions, wish=wish)
        if plot is not None:
            _draw(plot, choice)
        digest = candidates[0].digest
        view: dict[str, Any] = {"model": model.name, "model_sha256": digest, "family": choice.family}
        view |= dict(named) | {"deadline_ms": deadline} | choice.explained()
        answer(view, as_json=as_json, lines=_lines(view))


class _Road(NamedTuple):
    """What was typed about the road between the tiers; numbers only once the levels of the profiles are known."""

    rtt: str
    uplink: str
    downlink: str
    queue: str
    cloud_rtt: str
    cloud_queue: str

    def conditions(self, levels: int, /) -> Conditions:
        """The road as numbers at so many levels; ends the command where an option is none."""
        return Conditions(
            uplink_bps=_values(self.uplink, levels, "--uplink", unit=_MBPS, least=1e-6),
            downlink_bps=_values(self.downlink, levels, "--downlink", unit=_MBPS, least=1e-6),
            rtt_ns=_values(self.rtt, levels, "--rtt", unit=_MS_NS, least=0),
            queue_ns=_values(self.queue, levels, "--queue", unit=_MS_NS, least=0),
            cloud_rtt_ns=_values(self.cloud_rtt, levels, "--cloud-rtt", unit=_MS_NS, least=0),
            cloud_queue_ns=_values(self.cloud_queue, levels, "--cloud-queue", unit=_MS_NS, least=0),
        )


def _hardware(family: str, *, device: str, worker: str, cloud: str) -> dict[Tier, str]:
    """The hardware of every tier; ends the command where the family has no such tier."""
    if family not in _FAMILIES:
        fail(f"--family {family!r}: choose one of {', '.join(_FAMILIES)}", EXIT_USAGE)
    if cloud and family == "u":
        fail("a U-shape has no part in the cloud: add --family three-tier, or leave --cloud out", EXIT_USAGE)
    named: dict[Tier, str] = {"device": device, "worker": worker}
    return named | {"cloud": cloud} if cloud else named


def _choice(family: str, *, inputs: PlacementInputs, conditions: Conditions, wish: Wish) -> Choice:
    called, listed = _FAMILIES[family]
    return Choice(inputs=inputs, placements=listed(inputs), conditions=conditions, wish=wish, family=called)


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
    if view["split_config"]:
        lines.append("in a split config (policy deadline weighs every pair):")
        lines += [f"  {name}: {_yaml(value)}" for name, value in view["split_config"].items()]
    return lines


def _yaml(value: Any) -> str:
    """Pairs of cuts on one line, as files of split configs are written."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return f"{{{', '.join(f'{name}: {str(word).lower()}' for name, word in value.items())}}}"


def _profiles(paths: list[Path] | None) -> list[Profile]:
    for path in paths or []:
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}: check the path")
    return [read_profile(path) for path in paths or []]
