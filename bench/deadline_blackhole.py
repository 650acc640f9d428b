"""What a cut of one headset's link costs, and how soon frames leave again; switches per step and under jitter. Shell."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.deadline_real import policy_here
from bench.deadline_stage import Plan, Stage, prepare
from bench.deadline_witness import Witness
from headway.report import quantiles

HEADSET = "hs-1"
DEADLINE_MS = 50.0
CUTS = {"quick": 2, "full": 10}
JITTER_S = {"quick": 15.0, "full": 120.0}
SETTLE_S, CUT_S, BACK_S = 6.0, 3.0, 6.0
BEFORE_S = 2.0  # of the timeline
JITTER_STEP_S = 0.05
JITTER_MEAN_MS, JITTER_MOST_MS = 6.0, 60.0  # per direction
SEED = 4
NS_PER_S = 1e9

Event = Mapping[str, Any]


def measure(*, scale: str = "quick", progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Cut and restore, then shake the link.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: the headset did not begin.
    """
    plan = Plan(policy=policy_here(), deadline_ms=DEADLINE_MS)
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        with Witness() as witness, Stage(material, {HEADSET: plan}, name="blackhole") as stage:
            time.sleep(SETTLE_S)
            cuts = []
            for number in range(CUTS[scale]):
                progress(f"cut {number + 1}")
                cuts.append(_cut(stage))
            progress("jitter")
            shaken = _shake(stage, seconds=JITTER_S[scale])
            events = stage.finish()
        host = witness.facts()
    rows = [cut_row(events, cut_ns=cut, back_ns=back, end_ns=end) for cut, back, end in cuts]
    switches = [event for event in events if event["kind"] == "switch"]
    minutes = (shaken[1] - shaken[0]) / NS_PER_S / 60
    per_minute = round(sum(shaken[0] <= event["t_ns"] < shaken[1] for event in switches) / minutes, 2)
    return {
        "policy": plan.policy,
        "deadline_ms": DEADLINE_MS,
        "rows": rows,
        "timeline": timeline(events, cut_ns=cuts[0][0], end_ns=cuts[0][2]),
        "timeline_back_s": round((cuts[0][1] - cuts[0][0]) / NS_PER_S, 3),
        "jitter": {"seconds": round(60 * minutes, 1), "switches_per_minute": per_minute},
        "host": host,
        "aims": _aims(rows, per_minute=per_minute),
    }


def _cut(stage: Stage) -> tuple[int, int, int]:
    """Cut, restore and let it settle; returns the three moments."""
    stage.cut(HEADSET)
    cut_ns = time.monotonic_ns()
    time.sleep(CUT_S)
    stage.restore(HEADSET)
    back_ns = time.monotonic_ns()
    time.sleep(BACK_S)
    return cut_ns, back_ns, time.monotonic_ns()


def _shake(stage: Stage, *, seconds: float) -> tuple[int, int]:
    rng = random.Random(SEED)
    begin_ns = time.monotonic_ns()
    while time.monotonic_ns() - begin_ns < seconds * NS_PER_S:
        stage.links[HEADSET].shape(delay_ms=min(JITTER_MOST_MS, rng.expovariate(1 / JITTER_MEAN_MS)))
        time.sleep(JITTER_STEP_S)
    end_ns = time.monotonic_ns()
    stage.links[HEADSET].shape()
    return begin_ns, end_ns


def cut_row(events: Sequence[Event], *, cut_ns: int, back_ns: int, end_ns: int) -> dict[str, Any]:
    """One cut: frames scheduled in it, the first that left again, and switches at both steps."""
    frames = [event for event in events if event["kind"] == "frame"]
    inside = [frame for frame in frames if cut_ns <= frame["scheduled_ns"] < back_ns]
    left = [
        frame["answer_ns"]
        for frame in frames
        if frame["path"] == "offload" and frame["scheduled_ns"] >= back_ns
    ]
    before = sum(
        frame["path"] == "offload" and cut_ns - NS_PER_S <= frame["scheduled_ns"] < cut_ns for frame in frames
    )
    switches = [event for event in events if event["kind"] == "switch" and cut_ns <= event["t_ns"] < end_ns]
    down = sum(switch["t_ns"] < back_ns for switch in switches)
    return {
        "offloaded_in_the_second_before": before,
        "frames": len(inside),
        "unanswered": sum(frame["outcome"] in ("late", "none") for frame in inside),
        "own_pixels_on_time": sum(frame["outcome"] == "fresh_on_time" for frame in inside),
        "carried": sum(frame["outcome"] == "carried_on_time" for frame in inside),
        "latency_ms": quantiles([frame["latency_ms"] for frame in inside], (50, 99, 100)),
        "offload_again_after_s": round((min(left) - back_ns) / NS_PER_S, 3) if left else None,
        "switches_down": down,
        "switches_up": len(switches) - down,
        "switches": [
            {
                "after_s": round(
                    (switch["t_ns"] - (cut_ns if switch["t_ns"] < back_ns else back_ns)) / NS_PER_S, 2
                ),
                "to": switch["after"],
                "reason": switch["reason"],
            }
            for switch in switches
        ],
    }


def timeline(events: Sequence[Event], *, cut_ns: int, end_ns: int) -> list[dict[str, Any]]:
    """The frames around one cut, in order: when since the cut, how long the answer took, and who gave it."""
    return [
        {
            "after_s": round((frame["scheduled_ns"] - cut_ns) / NS_PER_S, 3),
            "latency_ms": frame["latency_ms"],
            "path": frame["path"],
            "outcome": frame["outcome"],
        }
        for frame in sorted(
            (event for event in events if event["kind"] == "frame"), key=lambda frame: int(frame["frame_id"])
        )
        if cut_ns - BEFORE_S * NS_PER_S <= frame["scheduled_ns"] < end_ns
    ]


def _aims(rows: Sequence[Mapping[str, Any]], *, per_minute: float) -> list[dict[str, Any]]:
    again = [row["offload_again_after_s"] for row in rows]
    slowest = None if None in again else max(again, default=None)
    figures = (
        (
            "offloading before every cut, else it shows nothing",
            None,
            1,
            min(row["offloaded_in_the_second_before"] for row in rows),
        ),
        ("unanswered frames in black holes", 0, None, sum(row["unanswered"] for row in rows)),
        ("seconds until frames leave again", 2.0, None, slowest),
        ("switches per step", 2, None, max(max(row["switches_down"], row["switches_up"]) for row in rows)),
        ("switches per minute under jitter", 6, None, per_minute),
    )
    return [_aim(*figure) for figure in figures]


def _aim(what: str, at_most: float | None, at_least: float | None, measured: float | None) -> dict[str, Any]:
    met = measured is not None
    if measured is not None:
        met = (at_most is None or measured <= at_most) and (at_least is None or measured >= at_least)
    bound = {"at_most": at_most} if at_least is None else {"at_least": at_least}
    return {"what": what, **bound, "measured": measured, "met": met}
