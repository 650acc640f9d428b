"""Real frames under real faults: headsets at 30 fps, broker and worker as processes, every frame judged. Shell.

Two headsets run at once, one per promised deadline, through whole cycles of faults (see ``deadline_faults``), while
some replies are damaged, doubled, late or out of order all the time. Then a headset of a deadline that this class
cannot keep shows what happens there. Host load and wake lateness stand beside each figure, because on a machine that
wakes nobody in time no headset answers in time either.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.bad_replies import KINDS, Tamperer
from bench.deadline_faults import CYCLE, CYCLE_S, Cue, Deed, Fault, Window, deeds
from bench.deadline_judge import judge
from bench.deadline_stage import Material, Plan, Stage, prepare
from bench.deadline_starved import Starved
from bench.deadline_witness import Witness
from edge_node.decide import POLICIES
from headway.report import findings_of

POLICY, UNTIL_THEN = "deadline", "rtt-threshold"
BAD_SHARE = 0.02  # of all replies, for each kind
SEED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Headsets (id -> deadline in ms) that run together, and for how long."""

    deadlines_ms: Mapping[str, float]
    seconds: float
    promised: bool
    cycle: tuple[Cue, ...] = CYCLE
    cycle_s: float = CYCLE_S


PROMISED = {"hs-1": 33.0, "hs-2": 50.0}
TIGHT = {"hs-1": 20.0}
PLAYS: Mapping[str, tuple[Play, ...]] = MappingProxyType(
    {
        "quick": (
            Play(deadlines_ms=PROMISED, seconds=CYCLE_S, promised=True),
            Play(deadlines_ms=TIGHT, seconds=15.0, promised=False),
        ),
        "full": (
            Play(deadlines_ms=PROMISED, seconds=9 * CYCLE_S, promised=True),
            Play(deadlines_ms=TIGHT, seconds=CYCLE_S, promised=False),
        ),
    }
)
LEAST_FRAMES = {"quick": 2_000, "full": 20_000}

Tell = Callable[[str], None]


def policy_here() -> str:
    """The policy that is measured; an older one where it is not there."""
    return POLICY if POLICY in POLICIES else UNTIL_THEN


def measure(*, scale: str = "quick", progress: Tell = print) -> dict[str, Any]:
    """Run every play and judge it.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: a headset did not begin.
    """
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        runs = []
        for play in PLAYS[scale]:
            deadlines = " and ".join(f"{deadline:g}" for deadline in play.deadlines_ms.values())
            progress(f"{deadlines} ms, {play.seconds:g} s")
            runs.append(run(material, play))
    return {"runs": runs, "aims": _aims(runs, scale=scale)}


def run(material: Material, play: Play) -> dict[str, Any]:
    """One site through its faults; returns the judgement, one row for each headset."""
    plans = {
        name: Plan(policy=policy_here(), deadline_ms=deadline) for name, deadline in play.deadlines_ms.items()
    }
    tamperer = Tamperer(dict.fromkeys(KINDS, BAD_SHARE), rng=random.Random(SEED))
    name = "real-" + "-".join(f"{plan.deadline_ms:g}" for plan in plans.values())
    with Witness() as witness:
        with Stage(material, plans, name=name, tamperer=tamperer) as stage:
            with Starved({headset: stage.pid(headset) for headset in plans}) as starved:
                windows = _play(stage, play)
                events = stage.finish()
            restarts = stage.restarts
        claims = stage.claims
    stalls = witness.stalls()
    return {
        "policy": policy_here(),
        "device_class": next(iter(plans.values())).device_class,
        "variant": material.variant,
        "promised": play.promised,
        "seconds": play.seconds,
        "faults": len(windows),
        "broker_restarts": restarts,
        "bad_replies": dict(tamperer.counts),
        "frame_threads": sorted({str(claim.get("frame_thread")) for claim in claims.values()}),
        "rows": [
            {"deadline_ms": plan.deadline_ms}
            | judge(events, headset, windows=windows, stalls=stalls, starved=starved.stalls(headset))
            for headset, plan in plans.items()
        ],
        "checker_findings": findings_of(claims, events, headsets=list(plans)),
        "torn_lines": sum(event["lines"] for event in events if event["kind"] in ("torn", "dropped")),
        "host": witness.facts(),
    }


def _play(stage: Stage, play: Play) -> list[Window]:
    """Do every deed at its time; returns what happened when."""
    start_s = time.monotonic()
    headsets = list(play.deadlines_ms)
    begun: dict[tuple[float, Fault], int] = {}
    windows = []
    for deed in deeds(play.cycle, seconds=play.seconds, cycle_s=play.cycle_s, headsets=len(headsets)):
        time.sleep(max(0.0, start_s + deed.at_s - time.monotonic()))
        headset = None if deed.cue.headset is None else headsets[deed.cue.headset]
        _do(stage, deed, headset)
        now_ns = time.monotonic_ns()
        key = (deed.at_s - (0.0 if deed.begins else deed.cue.for_s), deed.cue.fault)
        if deed.begins:
            begun[key] = now_ns
        else:
            windows.append(Window(fault=deed.cue.fault, begin_ns=begun[key], end_ns=now_ns, headset=headset))
    time.sleep(max(0.0, start_s + play.seconds - time.monotonic()))
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


def _aims(runs: list[dict[str, Any]], *, scale: str) -> list[dict[str, Any]]:
    promised = [row for run in runs if run["promised"] for row in run["rows"]]
    unanswered = sum(row["unanswered"] for row in promised)
    frames = sum(row["frames"] for row in promised)
    findings = sum(len(run["checker_findings"]) + run["torn_lines"] for run in runs)
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
