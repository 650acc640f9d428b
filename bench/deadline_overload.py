"""What a worker does with 2 and with 100 times the work it can do: a real worker and broker, and 30 headsets. Shell.

Capacity is measured in the same run, right before and after each cell, by headsets that always have a frame with the
worker. In a cell each headset sends at its own pace and heeds no refusal. What expired is judged by what really
happened: headsets and worker read one clock, so when a run began is known against when its frame's time was over.
In the flood, frames come over bare connections (``bench.deadline_flood``), faster than they can even be refused.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import psutil

from bench.deadline_crowd import Asked, Crowd, photo_frame
from bench.deadline_flood import Order, flood
from bench.deadline_overload_judge import (
    AIMS,
    FLOOD_AIMS,
    NS_PER_S,
    NS_PER_US,
    WARM_S,
    aims,
    judge,
    judge_flood,
)
from headway.cast import Cast
from headway.host import host_variant
from headway.photos import ensure_photos
from headway.provision import ensure_models, ensure_mosquitto
from schemas.messages import Frame
from schemas.places import cache_dir

SITE, WORKER = "bench", "w-1"
HEADSETS, SATURATING = 30, 3
LOAD, FLOOD = 2.0, 100.0  # times the capacity
FLOOD_S = {"quick": 5.0, "full": 20.0}
BUDGET_RUNS = 6.0  # a frame's budget, in runs of the worker
JITTER = 0.2  # of a period: no headset's clock is the worker's
CAPACITY_S = {"quick": 2.5, "full": 8.0}
CELL_S = {"quick": (6.0, 15.0), "full": (40.0, 70.0)}  # the least, and the most on a host that is slow
ANSWERS = 25  # of each headset, so that one more or less is no unfairness
NS_PER_MS = 1e6
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
                progress(f"{HEADSETS} headsets, {FLOOD:g} times its capacity")
                flooded = _flooded(crowd, frame, worker=worker, scale=scale)
    return {
        "cells": cells,
        "flood": flooded,
        "variant": host_variant(),
        "frame_bytes": len(frame.payload),
        "aims": [aim for cell in cells for aim in aims(cell, AIMS)] + aims(flooded, FLOOD_AIMS),
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
        asked, pings = crowd.offer(
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
            facts
            | judge(
                asked, names, capacity_per_s=(before + after) / 2, memory=memory, pings=pings, unsent=unsent
            )
        )
        before = after
    return cells


def _flooded(crowd: Crowd, frame: Frame, *, worker: psutil.Process, scale: str) -> dict[str, Any]:
    """The flood; capacity is measured right before and after it, as in every cell."""

    def capacity() -> float:
        return _rate(crowd.saturate(crowd.names[:SATURATING], for_s=CAPACITY_S[scale]))

    before = capacity()
    memory: list[int] = []
    budget_us = round(BUDGET_RUNS / before * NS_PER_S / NS_PER_US)
    order = Order(
        port=crowd.port,
        site=SITE,
        worker=WORKER,
        headsets=HEADSETS,
        per_s=FLOOD * before,
        for_s=FLOOD_S[scale],
    )
    flooded = flood(
        crowd.road,
        order,
        frame=replace(frame, header=replace(frame.header, budget_us=budget_us)),
        each=partial(_weigh, worker, memory),
    )
    after = capacity()
    facts: dict[str, Any] = {"name": "flood", "capacity_per_s": [round(before, 1), round(after, 1)]}
    return facts | judge_flood(flooded, capacity_per_s=(before + after) / 2, memory=memory)


def _span_s(capacity_per_s: float, *, scale: str) -> float:
    least_s, most_s = CELL_S[scale]
    return min(most_s, max(least_s, WARM_S + ANSWERS * HEADSETS / capacity_per_s))


def _rate(asked: Sequence[Asked]) -> float:
    """Answers a second, of one after another without a gap."""
    heard = sorted(row.heard_ns for row in asked if row.ran_ns)
    if len(heard) < 2:
        raise ChildProcessError("the worker answered nothing: its log says why")
    return (len(heard) - 1) / (heard[-1] - heard[0]) * NS_PER_S


def _weigh(worker: psutil.Process, memory: list[int], /) -> None:
    memory.append(worker.memory_info().rss)
