"""Every policy side by side: recorded and described links, two device classes, three deadlines, paired intervals.

Within a cell each policy has its own copy of the link and of every random stream, drawn by purpose and frame number:
what differs between two of them is what they decided. ``measure(scale=...)``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from bench.deadline_agreement import Agreement, measure_agreement
from bench.deadline_frames import Frames, frames_of, joined
from bench.deadline_grid_aims import judged
from bench.deadline_grid_rows import BLOCK_FRAMES, Ran, pooled, row
from bench.deadline_traces import Trace, traces
from bench.world.facts import assumptions
from bench.world.load import Load
from bench.world.run import Setting, simulate
from edge_node.decide import POLICIES
from edge_node.energy import POWERS
from edge_node.estimates.local_times import ENOUGH
from schemas.documents import SplitConfig

FRAMES = {"quick": 900, "full": 1500}  # of one run
RUNS = {"quick": 1, "full": 2}  # of each cell; recordings begin elsewhere in each
DEVICES = ("xr-fast", "xr-slow")
DEADLINES_MS = (20, 33, 50)
FPS = 30.0
PRACTISED_RUNS = (
    2 * ENOUGH
)  # of both kinds enough to say what one of a thousand takes: five minutes of frames
LEFT_OUT = {"split": "no model is cut in the simulated world"}
WORKERS = 2
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One link, one device class, one deadline."""

    trace: Trace
    device: str
    deadline_ms: int

    @property
    def name(self) -> tuple[str, str, int]:
        """What tells it from others."""
        return self.trace.name, self.device, self.deadline_ms

    @property
    def load(self) -> Load | None:
        """Others ask with the same deadline, and are as near to the worker as they can be."""
        load = self.trace.load
        return None if load is None else replace(load, budget_ms=float(self.deadline_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a cell by every policy. ``number`` is its seed."""

    cell: Cell
    policies: tuple[str, ...]
    number: int
    of: int
    frames: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def measure(*, scale: str = "quick", progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Rows of cells and policies, and the aims."""
    policies = tuple(name for name in POLICIES if name not in LEFT_OUT)
    found, missing = traces(seconds=FRAMES[scale] / FPS)
    cells = [
        Cell(trace=trace, device=device, deadline_ms=deadline_ms)
        for trace in found
        for device in DEVICES
        for deadline_ms in DEADLINES_MS
    ]
    jobs = [
        Job(cell=cell, policies=policies, number=number, of=RUNS[scale], frames=FRAMES[scale])
        for cell in cells
        for number in range(RUNS[scale])
    ]
    agreement = measure_agreement(progress=progress)
    ran = _in_processes(jobs, progress=progress)
    rows: list[dict[str, Any]] = []
    by_trace: dict[str, list[dict[str, Frames]]] = {}
    for cell in cells:
        runs = [ran[cell.name, number] for number in range(RUNS[scale])]
        together = {policy: joined([run[policy].frames for run in runs]) for policy in policies}
        rows += cell_rows(cell, runs, together=together, agreement=agreement)
        by_trace.setdefault(cell.trace.name, []).append(together)
    over_all = [pooled(by_trace, policy=policy) for policy in policies]
    return {
        "frames_of_each_row": FRAMES[scale] * RUNS[scale],
        "block_s": BLOCK_FRAMES / FPS,
        "traces": [{"trace": trace.name, "assumed": trace.assumed} for trace in found],
        "practised_runs": PRACTISED_RUNS,
        "world": assumptions(),
        "traces_missing": missing,
        "policies_left_out": LEFT_OUT,
        "agreement": None if agreement is None else agreement.as_dict(),
        "power": {device: asdict(POWERS[device]) for device in DEVICES},
        "over_all": over_all,
        "by_trace": {
            name: [pooled({name: several}, policy=policy) for policy in policies]
            for name, several in by_trace.items()
        },
        "rows": rows,
        **judged(rows, over_all=over_all, traces=[trace.name for trace in found]),
    }


def _in_processes(
    jobs: Sequence[Job], *, progress: Callable[[str], None]
) -> dict[tuple[tuple[str, str, int], int], dict[str, Ran]]:
    done: dict[tuple[tuple[str, str, int], int], dict[str, Ran]] = {}
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        asked = {pool.submit(play, job): job for job in jobs}
        for future in as_completed(asked):
            job = asked[future]
            done[job.cell.name, job.number] = future.result()
            progress(f"{len(done)} of {len(jobs)}: {' '.join(map(str, job.cell.name))}")
    return done


def play(job: Job) -> dict[str, Ran]:
    """Run every policy through its own copy of the same world."""
    trace = job.cell.trace.part(job.number, of=job.of)
    ran = {}
    for policy in job.policies:
        config = {"policy": policy, "deadline_ms": job.cell.deadline_ms, **job.settings}
        setting = Setting(
            link=trace.link,
            load=job.cell.load,
            config=SplitConfig.model_validate(config),
            device=job.cell.device,
            frames=job.frames,
            seed=job.number + 1,
            fps=FPS,
            practised_runs=PRACTISED_RUNS,
        )
        seen, counts = simulate(setting)
        ran[policy] = Ran(
            frames=frames_of(seen),
            switches=len(seen.switches),
            uplink_bytes=counts["uplink_bytes"],
            downlink_bytes=counts["downlink_bytes"],
            pictures=counts["pictures"],
            awake_ns=counts["awake_ns"],
            busy_ns=seen.busy_ns,
            seconds=job.frames / FPS,
            hedge_start_ms=float(np.median(seen.hedge_in_ns)) / NS_PER_MS,
        )
    return ran


def cell_rows(
    cell: Cell,
    runs: Sequence[Mapping[str, Ran]],
    *,
    together: Mapping[str, Frames],
    agreement: Agreement | None,
) -> list[dict[str, Any]]:
    """One row per policy of a cell; differences are to the chosen one."""
    names = dict(zip(("trace", "device", "deadline_ms"), cell.name, strict=True))
    return [
        {
            **names,
            "policy": policy,
            **row([run[policy] for run in runs], together, policy=policy, power=POWERS[cell.device]),
            "agreement": None if agreement is None else round(agreement.of(together[policy]), 4),
        }
        for policy in together
    ]
