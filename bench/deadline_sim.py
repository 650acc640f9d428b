"""Frames without an answer in the simulated world, with every fault of the site: ``measure(scale=...)``."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

from bench.world.run import Setting, simulate, summary
from bench.world.site import Fault
from headway.link_spec import LinkSpec, Window
from schemas.documents import SplitConfig

FRAMES = {"quick": 3_000, "full": 9_000}  # of one run
RUNS = {"quick": 1, "full": 56}  # per deadline: 2 x 56 x 9,000 are more than a million
DEADLINES_MS = (33, 50, 20)
PROMISED_MS = (33, 50)
FAULTS = (
    Fault(kind="broker-kill", at_s=15, for_s=1),
    Fault(kind="broker-stop", at_s=30, for_s=3),
    Fault(kind="worker-kill", at_s=45, for_s=2),
)
LINK = LinkSpec.even(
    delay_ms=1.5, stalls=(Window(at_s=60, for_s=10),), cuts=(Window(at_s=80, for_s=3),)
)  # every fault falls into the first 100 s


def measure(
    *, scale: str = "quick", progress: Callable[[str], None] = print, policy: str = "deadline"
) -> dict[str, Any]:
    """Rows per deadline, and the aims: none unanswered where that is promised."""
    rows = []
    for deadline_ms in DEADLINES_MS:
        progress(f"{policy} at {deadline_ms} ms")
        jobs = list(product([policy], [deadline_ms], range(RUNS[scale]), [FRAMES[scale]]))
        with ProcessPoolExecutor() as pool:
            runs = list(pool.map(_run, jobs))
        rows.append(
            {
                "policy": policy,
                "deadline_ms": deadline_ms,
                "frames": sum(run["frames"] for run in runs),
                "unanswered": sum(run["unanswered"] for run in runs),
                "least_hit": min(run["hit"] for run in runs),
            }
        )
    aims = [
        {
            "what": f"unanswered at {row['deadline_ms']} ms ({policy})",
            "at_most": 0,
            "measured": row["unanswered"],
            "met": row["unanswered"] == 0,
        }
        for row in rows
        if row["deadline_ms"] in PROMISED_MS
    ]
    return {"rows": rows, "aims": aims}


def _run(job: tuple[str, int, int, int]) -> dict[str, float]:
    policy, deadline_ms, seed, frames = job
    config = SplitConfig.model_validate({"policy": policy, "deadline_ms": deadline_ms})
    setting = Setting(link=LINK, config=config, frames=frames, seed=seed + 1, faults=FAULTS, bad_replies=0.02)
    return summary(setting, *simulate(setting))
