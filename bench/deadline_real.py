"""Real frames under real faults: three headsets at 30 fps, broker and worker as processes, every frame judged. Shell.

Each run plays whole cycles of faults (see ``deadline_faults``). Host load and wake lateness stand beside each figure,
because on a machine that wakes nobody in time no headset answers in time either.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.deadline_faults import CYCLE, CYCLE_S, Cue, Deed, Fault, Window, deeds
from bench.deadline_judge import judge
from bench.deadline_stage import Material, Plan, Stage, prepare
from bench.deadline_witness import Witness
from edge_node.decide import POLICIES

HEADSETS = ("hs-1", "hs-2", "hs-3")
POLICY, UNTIL_THEN = "deadline", "rtt-threshold"
CYCLES = {"quick": {33.0: 1, 50.0: 1}, "full": {33.0: 6, 50.0: 6, 20.0: 2}}  # by deadline in ms
PROMISED_MS = (33.0, 50.0)
LEAST_FRAMES = {"quick": 2_000, "full": 20_000}

Tell = Callable[[str], None]


def policy_here() -> str:
    """The policy that is measured; an older one where it is not there."""
    return POLICY if POLICY in POLICIES else UNTIL_THEN


def measure(*, scale: str = "quick", progress: Tell = print) -> dict[str, Any]:
    """Run every deadline and judge it.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: a headset did not begin.
    """
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        rows = []
        for deadline_ms, cycles in CYCLES[scale].items():
            progress(f"{deadline_ms:g} ms, {cycles * CYCLE_S:g} s")
            rows.append(run(material, deadline_ms=deadline_ms, seconds=cycles * CYCLE_S))
    return {"rows": rows, "aims": _aims(rows, scale=scale)}


def run(
    material: Material,
    *,
    deadline_ms: float,
    seconds: float,
    cycle: tuple[Cue, ...] = CYCLE,
    cycle_s: float = CYCLE_S,
) -> dict[str, Any]:
    """One site through its faults; returns the judgement."""
    plan = Plan(policy=policy_here(), deadline_ms=deadline_ms)
    with Witness() as witness:
        with Stage(material, dict.fromkeys(HEADSETS, plan), name=f"real-{deadline_ms:g}") as stage:
            windows = _play(stage, deeds(cycle, seconds=seconds, cycle_s=cycle_s), seconds=seconds)
            events = stage.finish()
            restarts = stage.restarts
        claims = stage.claims
    judged = judge(events, claims, headsets=HEADSETS, windows=windows, stalls=witness.stalls())
    return {
        "policy": plan.policy,
        "device_class": plan.device_class,
        "deadline_ms": deadline_ms,
        "variant": material.variant,
        "faults": len(windows),
        "broker_restarts": restarts,
        **judged,
        "host": witness.facts(),
    }


def _play(stage: Stage, todo: list[Deed], *, seconds: float) -> list[Window]:
    """Do every deed at its time; returns what happened when."""
    start_s = time.monotonic()
    begun: dict[tuple[float, Fault], int] = {}
    windows = []
    for deed in todo:
        time.sleep(max(0.0, start_s + deed.at_s - time.monotonic()))
        headset = None if deed.cue.headset is None else HEADSETS[deed.cue.headset]
        _do(stage, deed, headset)
        now_ns = time.monotonic_ns()
        key = (deed.at_s - (0.0 if deed.begins else deed.cue.for_s), deed.cue.fault)
        if deed.begins:
            begun[key] = now_ns
        else:
            windows.append(Window(fault=deed.cue.fault, begin_ns=begun[key], end_ns=now_ns, headset=headset))
    time.sleep(max(0.0, start_s + seconds - time.monotonic()))
    return windows


def _do(stage: Stage, deed: Deed, headset: str | None) -> None:
    site = {
        (Fault.BROKER_KILLED, True): stage.broker_killed,
        (Fault.BROKER_FROZEN, True): stage.broker_frozen,
        (Fault.BROKER_FROZEN, False): stage.broker_thawed,
        (Fault.WORKER_KILLED, True): stage.worker_killed,
        (Fault.WORKER_KILLED, False): stage.worker_restarted,
    }
    if headset is not None:
        (stage.cut if deed.begins else stage.restore)(headset)
    elif (deed.cue.fault, deed.begins) in site:
        site[deed.cue.fault, deed.begins]()


def _aims(rows: list[dict[str, Any]], *, scale: str) -> list[dict[str, Any]]:
    promised = [row for row in rows if row["deadline_ms"] in PROMISED_MS]
    unanswered = sum(row["unanswered"] for row in promised)
    frames = sum(row["frames"] for row in promised)
    findings = sum(len(row["checker_findings"]) + row["torn_lines"] for row in rows)
    least = LEAST_FRAMES[scale]
    return [
        {
            "what": "unanswered real frames at 33 and 50 ms",
            "at_most": 0,
            "measured": unanswered,
            "met": unanswered == 0,
        },
        {
            "what": "real frames at 33 and 50 ms",
            "at_least": least,
            "measured": frames,
            "met": frames >= least,
        },
        {
            "what": "findings of the checker and lost lines",
            "at_most": 0,
            "measured": findings,
            "met": findings == 0,
        },
    ]
