"""Shell: how much faster one model runs than another on this machine.

Both run turn by turn on one thread and processor time is counted, so a busy machine slows both alike.
Without an int8 dot product instruction a processor gains little from int8, and says nothing about a headset
that has one: the report names that, so that a gate can judge accordingly.
"""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.runtimes.base import Array, Model

_CPU_INFO = Path("/proc/cpuinfo")
_DOT_PRODUCT_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "avx10", "amx_int8", "asimddp", "i8mm"})
_WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedReport:
    """``gain``: median over turns of base time / candidate time; times in ms of one thread, medians."""

    gain: float
    base_ms: float
    candidate_ms: float
    turns: int
    int8_dot_product: bool


def measure_gain(
    base: Model,
    candidate: Model,
    /,
    *,
    base_input: Sequence[Array],
    candidate_input: Sequence[Array],
    turns: int,
) -> SpeedReport:
    """Run both models turn by turn; load both with ``threads=1``, or their helpers' time is not counted."""
    times = np.empty((turns, 2))
    for turn in range(-_WARM_UP_RUNS, turns):
        for column, (model, arrays) in enumerate(((base, base_input), (candidate, candidate_input))):
            started_ns = time.thread_time_ns()
            model.run(arrays)
            if turn >= 0:
                times[turn, column] = (time.thread_time_ns() - started_ns) / 1e6
    return SpeedReport(
        gain=float(np.median(times[:, 0] / times[:, 1])),
        base_ms=float(np.median(times[:, 0])),
        candidate_ms=float(np.median(times[:, 1])),
        turns=turns,
        int8_dot_product=has_int8_dot_product(),
    )


def has_int8_dot_product() -> bool:
    """Say whether this processor multiplies and adds int8 in one instruction; True where it cannot be read."""
    if platform.machine() == "arm64" or not _CPU_INFO.exists():
        return True
    return bool(_DOT_PRODUCT_FLAGS & set(_CPU_INFO.read_text(encoding="utf-8", errors="replace").split()))
