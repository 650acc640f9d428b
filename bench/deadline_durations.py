"""How long this host takes for what a deadline is made of: quantiles of a short real run, for a simulator to draw from.

Two short runs of one headset on a clean link: one of the simulated class, one whose local runs take what this host
takes. Everything is told as a table of quantiles in nanoseconds (bytes where the name says so). Shell.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.deadline_stage import SITE, Material, Plan, Stage, prepare
from bench.deadline_tap import Tap
from bench.deadline_witness import Witness

HEADSET = "hs-1"
POLICY = "always-duplicate"  # every frame runs here and there
DEADLINE_MS = 50.0
SECONDS = {"quick": 15.0, "full": 60.0}
SETTLE_S = 3.0
NS_PER_MS = 1e6
FRACTIONS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)

Event = Mapping[str, Any]


def measure(*, scale: str = "quick", progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Both runs.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: the headset did not begin.
    """
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        found = {}
        for device_class in ("xr-fast", "host"):
            progress(f"{device_class}, {SECONDS[scale]:g} s")
            found[device_class] = durations(material, device_class=device_class, seconds=SECONDS[scale])
    return {"variant": material.variant, **found}


def durations(material: Material, *, device_class: str, seconds: float) -> dict[str, Any]:
    """Quantile tables of one run."""
    plan = Plan(policy=POLICY, deadline_ms=DEADLINE_MS, device_class=device_class)
    with Witness() as witness, Stage(material, {HEADSET: plan}, name=f"durations-{device_class}") as stage:
        time.sleep(SETTLE_S)
        with Tap(stage.broker_url, site=SITE) as tap:
            time.sleep(seconds)
        frames = [line for line in stage.finish() if line["kind"] == "frame"]
    there = {f"worker_{name}": quantile_table(values) for name, values in tap.worker_ns().items()}
    return {
        "frames": len(frames),
        "host": witness.facts(),
        "wake_late_ns": quantile_table(witness.lateness_ns()),
        "frame_bytes": quantile_table(tap.frame_bytes),
        **there,
        **headset_tables(frames),
    }


def headset_tables(frames: Sequence[Event]) -> dict[str, Any]:
    """What the frame lines say: local runs, transport alone, and how long after the schedule a frame began."""
    tries = [(frame, attempt) for frame in frames for attempt in frame["attempts"]]
    begun = [
        min(attempt["start_ms"] for attempt in frame["attempts"]) for frame in frames if frame["attempts"]
    ]
    runs = [
        attempt["end_ms"] - attempt["start_ms"]
        for _, attempt in tries
        if attempt["path"] == "local" and attempt["end_ms"] is not None and attempt["result"] == "ok"
    ]
    crossed = [
        frame["rtt_ms"]
        for frame, attempt in tries
        if attempt["path"] == "offload" and attempt["result"] == "ok" and frame["rtt_ms"] is not None
    ]
    return {
        "local_run_ns": quantile_table(_ns(runs)),
        "link_rtt_ns": quantile_table(_ns(crossed)),
        "first_try_after_ns": quantile_table(_ns(begun)),
        "host_late_share": round(sum(bool(frame["host_late"]) for frame in frames) / max(1, len(frames)), 5),
    }


def _ns(values_ms: Iterable[float]) -> list[int]:
    return [round(value * NS_PER_MS) for value in values_ms]


def quantile_table(values: Iterable[int]) -> dict[str, int]:
    """``{"count": n, "p0": …, "p50": …, "p100": …}``; only the count where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    last = len(ordered) - 1
    return {"count": len(ordered)} | {
        f"p{100 * fraction:g}": ordered[round(fraction * last)] for fraction in FRACTIONS
    }
