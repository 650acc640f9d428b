"""What a worker does with twice the work it can do: a real worker and broker, 30 headsets with sessions of their own. Shell.

Capacity is measured in the same run, right before and after each cell, by headsets that always have a frame with the
worker. In a cell each headset sends at its own pace and heeds no refusal. What expired is judged by what really
happened: headsets and worker read one clock, so when a run began is known against when its frame's time was over.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import psutil

from bench.deadline_crowd import Asked, Crowd, photo_frame
from headway.cast import Cast
from headway.host import host_variant
from headway.photos import ensure_photos
from headway.provision import ensure_models, ensure_mosquitto
from headway.report import quantiles
from schemas.places import cache_dir

SITE, WORKER = "bench", "w-1"
HEADSETS, SATURATING = 30, 3
LOAD = 2.0  # times the capacity
BUDGET_RUNS = 6.0  # a frame's budget, in runs of the worker
JITTER = 0.2  # of a period: no headset's clock is the worker's
CAPACITY_S = {"quick": 2.5, "full": 8.0}
CELL_S = {"quick": (6.0, 15.0), "full": (40.0, 70.0)}  # the least, and the most on a host that is slow
ANSWERS = 25  # of each headset, so that one more or less is no unfairness
WARM_S = 1.0  # a cell begins with an empty line
NS_PER_S, NS_PER_MS, NS_PER_US = 1e9, 1e6, 1e3
SEED = 4

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How the load is spread: one headset in ``of`` sends ``times`` as often as the others."""

    name: str
    of: int = 1
    times: float = 1.0

    def periods_s(self, names: Sequence[str], *, per_s: float) -> dict[str, float]:
        """Each headset's period where all together send so many frames a second."""
        weights = {name: self.times if n % self.of == 0 else 1.0 for n, name in enumerate(names)}
        return {name: sum(weights.values()) / weight / per_s for name, weight in weights.items()}


CELLS = (Cell(name="even"), Cell(name="uneven", of=2, times=2.0))


def measure(*, scale: str = "quick", progress: Tell = print) -> dict[str, Any]:
    """Run every cell and judge it.

    Raises:
        HeadwayError: models, photos or a broker are missing; says how to get them.
        ChildProcessError: the headsets did not reach the broker.
        ValueError: a photo cannot be read.
    """
    names = [f"h-{number}" for number in range(HEADSETS)]
    cache = cache_dir(os.environ)
    photo = ensure_photos(cache)[0]
    pixels = cv2.imread(str(photo))
    if pixels is None:
        raise ValueError(f"{photo} is not a picture that can be read: remove it, it is fetched again")
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        cast = Cast(folder=Path(folder), site=SITE, mosquitto=ensure_mosquitto(cache))
        with cast:
            cast.start_broker()
            models = ensure_models(cache)["hand_landmark_full"].parent
            cast.start_worker(WORKER, models=models, variant=host_variant())
            worker = psutil.Process(cast.children[WORKER].pid)
            frame = photo_frame(pixels)
            with Crowd(names, url=cast.broker_url, site=SITE, worker=WORKER, frame=frame) as crowd:
                cells = _cells(crowd, names, worker=worker, scale=scale, tell=progress)
    return {
        "cells": cells,
        "variant": host_variant(),
        "frame_bytes": len(frame.payload),
        "aims": [aim for cell in cells for aim in _aims(cell)],
    }


def _cells(
    crowd: Crowd, names: list[str], *, worker: psutil.Process, scale: str, tell: Tell
) -> list[dict[str, Any]]:
    def capacity() -> float:
        tell("the worker's capacity")
        return _rate(crowd.saturate(names[:SATURATING], for_s=CAPACITY_S[scale]))

    rng = random.Random(SEED)
    cells: list[dict[str, Any]] = []
    before = capacity()
    for cell in CELLS:
        tell(f"{HEADSETS} headsets, {LOAD:g} times its capacity, {cell.name}")
        memory: list[int] = []
        unsent = crowd.unsent
        budget_ns = round(BUDGET_RUNS / before * NS_PER_S)
        asked = crowd.offer(
            cell.periods_s(names, per_s=LOAD * before),
            budget_ns=budget_ns,
            for_s=_span_s(before, scale=scale),
            jitter=JITTER,
            rng=rng,
            each=partial(_weigh, worker, memory),
        )
        after = capacity()
        facts: dict[str, Any] = {"name": cell.name, "capacity_per_s": [round(before, 1), round(after, 1)]}
        facts |= {"budget_ms": round(budget_ns / NS_PER_MS, 1)}
        cells.append(
            facts | judge(asked, names, capacity_per_s=(before + after) / 2, memory=memory, unsent=unsent)
        )
        before = after
    return cells


def _span_s(capacity_per_s: float, *, scale: str) -> float:
    least_s, most_s = CELL_S[scale]
    return min(most_s, max(least_s, WARM_S + ANSWERS * HEADSETS / capacity_per_s))


def _rate(asked: Sequence[Asked]) -> float:
    """Answers a second, of one after another without a gap."""
    heard = sorted(row.heard_ns for row in asked if row.ran_ns)
    if len(heard) < 2:
        raise ChildProcessError("the worker answered nothing: its log says why")
    return (len(heard) - 1) / (heard[-1] - heard[0]) * NS_PER_S


def judge(
    asked: Sequence[Asked],
    names: Sequence[str],
    *,
    capacity_per_s: float,
    memory: Sequence[int],
    unsent: int = 0,
) -> dict[str, Any]:
    """What one cell came to.

    Args:
        asked: every request of the cell.
        names: of the headsets.
        capacity_per_s: answers a second where the worker always has a frame.
        memory: bytes the worker held, in the order of time.
        unsent: requests that never left their headset.
    """
    begin_ns = min(row.sent_ns for row in asked) + round(WARM_S * NS_PER_S)
    rows = [row for row in asked if row.sent_ns >= begin_ns]
    span_s = (max(row.sent_ns for row in rows) - begin_ns) / NS_PER_S
    ran = [row for row in rows if row.ran_ns]
    fresh = [row for row in ran if row.heard_ns <= row.over_ns]
    refused = [row for row in rows if row.refusal]
    # of refused ones too: those who were long on the way are the ones that are refused as expired
    rtt_us = [row.way_ns / NS_PER_US for row in rows if row.replies]
    refusal_us = [(row.heard_ns - row.sent_ns) / NS_PER_US for row in refused]
    shares = Counter(row.device for row in fresh)
    rtt, refusal = quantiles(rtt_us, (50, 90, 99)), quantiles(refusal_us, (50, 90, 99))
    return {
        "frames": len(rows),
        "offered_over_capacity": round(len(rows) / span_s / capacity_per_s, 3),
        "unsent": unsent,
        "unanswered": max(0, sum(row.replies == 0 for row in asked) - unsent),
        "answered_twice": sum(row.replies > 1 for row in rows),
        "run": len(ran),
        "begun_expired": sum(row.received_ns + row.queue_ns >= row.over_ns for row in ran),
        "ended_expired": sum(row.received_ns + row.queue_ns + row.ran_ns > row.over_ns for row in ran),
        "heard_late": len(ran) - len(fresh),
        "refused": dict(Counter(row.refusal for row in refused)),
        "retry_after_ms": quantiles([row.retry_after_ms for row in refused], (50, 90, 99)),
        "rtt_us": rtt,
        "refusal_us": refusal,
        "refusal_over_rtt": {name: _ratio(refusal[name], rtt[name]) for name in rtt},
        "refused_within_rtt_p99": _within(refusal_us, rtt["p99"]),
        "held_refusal_us": quantiles([row.queue_ns / NS_PER_US for row in refused], (50, 90, 99)),
        "goodput_per_s": round(len(fresh) / span_s, 1),
        "goodput_over_capacity": round(len(fresh) / span_s / capacity_per_s, 3),
        "jain": round(jain([shares[name] for name in names]), 4),
        "memory_bytes": [memory[0], memory[-1]] if memory else [],
        "memory_growth": _growth(memory),
    }


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all got the same, 1/n where one got everything."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def _weigh(worker: psutil.Process, memory: list[int], /) -> None:
    memory.append(worker.memory_info().rss)


def _growth(memory: Sequence[int]) -> float | None:
    """The last fifth of a cell over its second fifth: what it takes to come into its stride is no leak."""
    fifth = len(memory) // 5
    return _ratio(sum(memory[-fifth:]), sum(memory[fifth : 2 * fifth])) if fifth else None


def _within(values: Sequence[float], most: float | None) -> float | None:
    return (
        round(sum(value <= most for value in values) / len(values), 4)
        if values and most is not None
        else None
    )


def _ratio(over: float | None, under: float | None) -> float | None:
    return round(over / under, 3) if over is not None and under else None


_AIMS: tuple[tuple[str, str, float, Callable[[Mapping[str, Any]], float | None]], ...] = (
    ("runs begun after their frame's time was over", "at_most", 0, lambda cell: cell["begun_expired"]),
    ("requests without a reply", "at_most", 0, lambda cell: cell["unanswered"]),
    (
        "part of refusals heard within the RTT's p99",
        "at_least",
        0.98,
        lambda cell: cell["refused_within_rtt_p99"],
    ),
    ("fresh answers in time over capacity", "at_least", 0.9, lambda cell: cell["goodput_over_capacity"]),
    ("Jain index over headsets", "at_least", 0.95, lambda cell: cell["jain"]),
    ("worker's memory, end over begin", "at_most", 1.05, lambda cell: cell["memory_growth"]),
)


def _aims(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    aims = []
    for what, bound, limit, of in _AIMS:
        measured = of(cell)
        met = measured is not None and (measured <= limit if bound == "at_most" else measured >= limit)
        aims.append({"what": f"{cell['name']}: {what}", bound: limit, "measured": measured, "met": met})
    return aims
