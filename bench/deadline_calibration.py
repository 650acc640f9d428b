"""Whether the chance that a headset states of a worker's answer is kept: ``measure(scale=...)``.

Every frame leaves, so that no choice hides what was stated of frames that stayed. The chance is that of the worker's
answer alone, said before the frame left; a late answer is awaited two seconds and counts as one that did not come in
time. Cells whose answers nearly always or nearly never come in time say little and are left out. The base to beat is
somebody who only counts: the share of the last half minute. Simulated on every link, and real on one site.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.deadline_frames import FINISHED, frames_of
from bench.deadline_stage import Plan, Stage, prepare
from bench.deadline_told import BASE_FRAMES, FPS, Told, cell_row, judged, told
from bench.deadline_traces import Trace, traces
from bench.world.run import Setting, simulate
from schemas.documents import SplitConfig

FRAMES = {"quick": 1800, "full": 4500}
DEADLINES_MS = (20, 25, 33, 40, 50)
SETTLE_FRAMES = 60
WORKERS = 2
REAL_DEADLINE_MS = 40.0
REAL_TURNS = {"quick": 1, "full": 5}
REAL_SETTLE_S = 6.0
HEADSET = "hs-1"
NS_PER_S = 1e9
REAL_LINKS: tuple[tuple[Mapping[str, Any], ...], ...] = (  # in turn, each for its seconds
    ({"what": "delay", "ms": 2.0}, {"what": "jitter", "ms": 5.0, "kind": "lognormal"}),
    ({"what": "delay", "ms": 10.0},),
    ({"what": "delay", "ms": 4.0}, {"what": "jitter", "ms": 3.0, "kind": "exponential"}),
    ({"what": "delay", "ms": 7.0}, {"what": "rate", "mbps": 20}),
)
REAL_LINK_S = 8.0


def measure(*, scale: str = "quick", progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Simulated cells and the real site: rows, both together, and the aims.

    Raises:
        HeadwayError: something needed is missing.
        ChildProcessError: the headset did not begin.
    """
    found, missing = traces(seconds=FRAMES[scale] / FPS)
    jobs = [(trace, deadline_ms, FRAMES[scale]) for trace in found for deadline_ms in DEADLINES_MS]
    cells: list[Told] = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for cell in pool.map(play, jobs):
            cells.append(cell)
            progress(f"{len(cells)} of {len(jobs)}: {cell.trace} at {cell.deadline_ms} ms")
    real = play_real(turns=REAL_TURNS[scale], progress=progress)
    counting = [cell for cell in cells if cell.counts]
    return {
        "traces_missing": missing,
        "base_s": BASE_FRAMES / FPS,
        "cells_left_out": [
            [cell.trace, cell.deadline_ms, round(float(cell.came.mean()), 4) if len(cell.came) else None]
            for cell in cells
            if not cell.counts
        ],
        "rows": [cell_row(cell) for cell in counting],
        "real": cell_row(real) | judged([real] if real.counts else [], where="real site, "),
        **judged(counting),
    }


def play(job: tuple[Trace, int, int]) -> Told:
    """Send every frame of a cell; ``job``: its trace, deadline and number of frames."""
    trace, deadline_ms, frames = job
    load = None if trace.load is None else replace(trace.load, budget_ms=float(deadline_ms))
    config = SplitConfig.model_validate({"policy": "offload", "deadline_ms": deadline_ms})
    seen, _ = simulate(Setting(link=trace.link, load=load, config=config, frames=frames, fps=FPS))
    remote_ms = frames_of(seen).remote_ms
    said = np.array([seen.p_remote.get(frame_id, np.nan) for frame_id in range(frames)])
    left = ~np.isnan(remote_ms) & ~np.isnan(said) & (np.arange(frames) >= SETTLE_FRAMES)
    return told(
        trace=trace.name,
        deadline_ms=deadline_ms,
        at_s=(np.flatnonzero(left) + 1) / FPS,
        stated=said[left],
        remote_ms=remote_ms[left],
        changes_s=trace.changes_s,
    )


def play_real(*, turns: int, progress: Callable[[str], None]) -> Told:
    """Send every frame of a real headset over links that change, so many times round."""
    plan = Plan(policy="offload", deadline_ms=REAL_DEADLINE_MS)
    links = REAL_LINKS * turns
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        material = prepare(Path(folder))
        with Stage(material, {HEADSET: plan}, name="calibration") as stage:
            time.sleep(REAL_SETTLE_S)
            begin_ns = time.monotonic_ns()
            for number, link in enumerate(links):
                progress(f"real link {number + 1} of {len(links)}")
                stage.links[HEADSET].follow(link, seed=number)
                time.sleep(REAL_LINK_S)
            lines = stage.finish()
    changes_s = list(accumulate([REAL_LINK_S] * (len(links) - 1), initial=0.0))
    return of_lines(lines, begin_ns=begin_ns, changes_s=changes_s)


def of_lines(lines: Sequence[Mapping[str, Any]], *, begin_ns: int, changes_s: Sequence[float]) -> Told:
    """What the event lines of a headset say of frames that left since ``begin_ns``."""
    left = sorted(
        (line for line in lines if "p_remote" in line and line["scheduled_ns"] >= begin_ns),
        key=lambda line: line["scheduled_ns"],
    )
    return told(
        trace="real",
        deadline_ms=REAL_DEADLINE_MS,
        at_s=np.array([(line["scheduled_ns"] - begin_ns) / NS_PER_S for line in left]),
        stated=np.array([line["p_remote"] for line in left], dtype=np.float64),
        remote_ms=np.array([_remote_ms(line) for line in left], dtype=np.float64),
        changes_s=changes_s,
    )


def _remote_ms(line: Mapping[str, Any]) -> float:
    ends = [
        attempt["end_ms"]
        for attempt in line["attempts"]
        if attempt["path"] == "offload" and attempt["result"] in FINISHED
    ]
    return float(ends[0]) if ends else float("inf")
