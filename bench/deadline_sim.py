"""Frames without an answer in the simulated world, with every fault of the site: ``measure(scale=...)``.

On a host that wakes the frames' thread promptly; one row more is of a busy host that may not, where a frame can be
answered late although everything was done in time. What was not answered is told by its reason.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from bench.world.headset import Seen
from bench.world.host import HOSTS
from bench.world.place import Place
from bench.world.run import Setting, simulate, summary
from bench.world.site import Fault
from edge_node.flight import Flight
from edge_node.outcome import Outcome
from headway.link_spec import LinkSpec, Window
from schemas.documents import SplitConfig

FRAMES = {"quick": 3_000, "full": 9_000}  # of one run
PROMISED_MS = (33, 50)
FAULTS = (
    Fault(kind="broker-kill", at_s=15, for_s=1),
    Fault(kind="broker-stop", at_s=30, for_s=3),
    Fault(kind="worker-kill", at_s=45, for_s=2),
)
LINK = LinkSpec.even(
    delay_ms=1.5, stalls=(Window(at_s=60, for_s=10),), cuts=(Window(at_s=80, for_s=3),)
)  # every fault falls into the first 100 s
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One deadline on one host, with so many runs: 2 x 56 x 9,000 frames are more than a million."""

    deadline_ms: int
    host: str
    runs: dict[str, int]


ROWS = (
    Row(deadline_ms=33, host="prompt", runs={"quick": 2, "full": 56}),
    Row(deadline_ms=50, host="prompt", runs={"quick": 2, "full": 56}),
    Row(deadline_ms=20, host="prompt", runs={"quick": 2, "full": 8}),
    Row(deadline_ms=33, host="busy", runs={"quick": 2, "full": 8}),
)


def measure(
    *, scale: str = "quick", progress: Callable[[str], None] = print, policy: str = "deadline"
) -> dict[str, Any]:
    """Rows per deadline and host, and the aims: none unanswered where that is promised."""
    rows = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for row in ROWS:
            jobs = [(policy, row, seed, FRAMES[scale]) for seed in range(row.runs[scale])]
            runs = []
            for run in pool.map(_run, jobs):
                runs.append(run)
                progress(f"{policy} at {row.deadline_ms} ms, {row.host} host: {len(runs)} of {len(jobs)}")
            rows.append(_row(row, policy, runs))
    return {"rows": rows, "aims": [_aim(row) for row in rows if _is_promised(row)]}


def _row(row: Row, policy: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    reasons: Counter[str] = sum((run["reasons"] for run in runs), Counter())
    return {
        "policy": policy,
        "deadline_ms": row.deadline_ms,
        "host": row.host,
        "frames": sum(run["frames"] for run in runs),
        "unanswered": sum(run["unanswered"] for run in runs),
        "unanswered_because": dict(reasons),
        "least_hit": min(run["hit"] for run in runs),
        "mean_hit": round(sum(run["hit"] for run in runs) / len(runs), 5),
        "by_worker": round(sum(run["by_worker"] for run in runs) / len(runs), 5),
    }


def _is_promised(row: dict[str, Any]) -> bool:
    return row["host"] == "prompt" and row["deadline_ms"] in PROMISED_MS


def _aim(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "what": f"unanswered at {row['deadline_ms']} ms ({row['policy']}), {row['frames']} frames",
        "at_most": 0,
        "measured": row["unanswered"],
        "met": row["unanswered"] == 0,
    }


def _run(job: tuple[str, Row, int, int]) -> dict[str, Any]:
    policy, row, seed, frames = job
    config = SplitConfig.model_validate({"policy": policy, "deadline_ms": row.deadline_ms})
    setting = Setting(
        link=LINK,
        config=config,
        place=Place(host=HOSTS[row.host]),
        frames=frames,
        seed=seed + 1,
        faults=FAULTS,
        bad_replies=0.02,
    )
    seen, counts = simulate(setting)
    return {**summary(setting, seen, counts), "reasons": why_unanswered(seen)}


def why_unanswered(seen: Seen) -> Counter[str]:
    """Frames late or without any answer, by what stood in their way."""
    known_ns = min((f.answer.answer_ns for f in seen.flights if f.answer and _is_fresh(f)), default=0)
    reasons: Counter[str] = Counter()
    for flight in seen.flights:
        if flight.answer is None or flight.answer.outcome not in {Outcome.LATE, Outcome.NONE}:
            continue
        if flight.deadline_ns < known_ns:
            reasons["before the first result there was nothing to move forward"] += 1
        elif flight.host_late:
            reasons["the host computed longer than the device would"] += 1
        else:
            late_ms = (flight.answer.answer_ns - flight.deadline_ns) / 1e6
            reasons["answered within 25 ms after the deadline" if late_ms < 25 else "later"] += 1
    return reasons


def _is_fresh(flight: Flight) -> bool:
    return flight.answer is not None and flight.answer.result_frame_id == flight.frame_id
