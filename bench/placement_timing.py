"""Times decisions about placement and the making of what decides."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.placement_brute import random_conditions, random_flow, random_inputs
from bench.placement_checks import FAMILIES
from inference.packages.cache import models_dir
from inference.placement.decision import Chooser
from inference.placement.families import u_shape
from inference.placement.inputs import Conditions, ModelVariant, PlacementInputs, Rates, Wish
from inference.placement.survivors import survivors
from inference.profile.durations import DurationTable
from inference.split.model import split_model
from inference.split.traffic import transfer_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
LARGE = ("yolox_nano_int8_quantize.tflite", "hand_landmark_full.tflite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something whose decisions are timed: its name, what decides, and the size of what it decides among."""

    name: str
    decide: Callable[[Conditions], object]
    placements: int
    kept: int


def decision_candidates(rng: np.random.Generator, *, operators: int = 60) -> list[Candidate]:
    """Choosers of both families for two models of this many operators, and the plain bisection."""
    flows = [random_flow(rng, operators=operators, chain=False) for _ in range(2)]
    wish = Wish(deadline_ns=3000.0, joule_ns=1e8)
    candidates = []
    for family, listed in FAMILIES.items():
        inputs = random_inputs(rng, flows, cloud=family == "three-tier")
        placements = listed(inputs)
        chooser = Chooser(placements, inputs=inputs, wishes=(wish,))
        candidates.append(
            Candidate(
                name=family,
                decide=partial(chooser.decide, wish=wish),
                placements=len(placements),
                kept=len(chooser.kept(wish)),
            )
        )
    found = survivors(placements, fixed_ns=placements.base_ns[0], down_ratio=1.0)
    candidates.append(
        Candidate(
            name="bisection",
            decide=lambda road: found.best(road.uplink_bps[0]),
            placements=len(placements),
            kept=len(found.indices),
        )
    )
    return candidates


def decision_times_us(rng: np.random.Generator, *, decisions: int = 5000) -> dict[str, Any]:
    """How long one decision takes, by the clock and by the processor; candidates take turns at every step."""
    roads = [random_conditions(rng, bps=float(10 ** rng.uniform(8, 12))) for _ in range(64)]
    candidates = decision_candidates(rng)
    wall, cpu = np.zeros((2, len(candidates), decisions))
    for number in range(decisions):
        road = roads[number % len(roads)]
        for at, candidate in enumerate(candidates):
            begun_cpu, begun = time.thread_time_ns(), time.perf_counter_ns()
            candidate.decide(road)
            wall[at, number] = time.perf_counter_ns() - begun
            cpu[at, number] = time.thread_time_ns() - begun_cpu
    return {
        candidate.name: {
            "placements": candidate.placements,
            "kept": candidate.kept,
            "decisions": decisions,
            "wall_us": _percentiles(wall[at]),
            "cpu_us": _percentiles(cpu[at]),
        }
        for at, candidate in enumerate(candidates)
    }


def _percentiles(values_ns: np.ndarray) -> dict[str, float]:
    return {f"p{at}": round(float(np.percentile(values_ns, at)) / 1e3, 2) for at in (50, 99)}


def large_models() -> list[Path]:
    """Models of many operators that are at hand."""
    folders = (REPOSITORY.parent / "shared" / "data" / "models", models_dir(os.environ))
    return [path for folder in folders for name in LARGE if (path := folder / name).is_file()]


def chooser_build(rng: np.random.Generator, path: Path) -> dict[str, Any]:
    """How long a chooser takes to make for a model, with made-up durations as differences of prefixes."""
    split = split_model(path.read_bytes())
    positions = [cut.position for cut in split.cuts]
    prefix = np.concatenate([[0.0], np.cumsum(rng.lognormal(sigma=1.0, size=positions[-1]))])[positions]
    slower = np.outer([1, 1.2, 1.6], prefix / prefix[-1])
    begun = time.perf_counter()
    variant = ModelVariant(
        name=path.stem,
        transfer=transfer_bytes(split.flow, positions),
        device=DurationTable.from_prefixes(slower * 40e6),
        worker=DurationTable.from_prefixes(slower * 4e6),
    )
    inputs = PlacementInputs(variants=(variant,), rates=Rates(device_w=3.0, radio_w=0.7))
    placements = u_shape(inputs)
    listed = time.perf_counter()
    wish = Wish(deadline_ns=20e6, joule_ns=1e6)
    chooser = Chooser(placements, inputs=inputs, wishes=(wish,))
    return {
        "model": path.stem,
        "operators": positions[-1],
        "placements": len(placements),
        "kept": len(chooser.kept(wish)),
        "list_s": round(listed - begun, 3),
        "build_s": round(time.perf_counter() - listed, 3),
    }
