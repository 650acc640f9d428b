"""Pure core: the host and the worker as the lines of a real headset show them, for the simulated world to have the same.

How late the host's thread began frames that left at once (those that stayed may have waited for the slot), how long
runs took it where they took longer than the device class would, and how long the worker took. Nothing of what frames
were answered with, or when, goes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.world.host import HOSTS, Host, Table
from bench.world.place import Place
from bench.world.site import DECODE_NS
from edge_node.device_class import FRACTIONS, Quantile
from edge_node.energy import ENCODE_NS

SHARES = (
    0.0,
    0.1,
    0.25,
    0.5,
    0.75,
    0.9,
    0.95,
    0.98,
    0.99,
    0.999,
    1.0,
)  # close, for straight lines between them lie above a tail
LEAST_MS = 0.02
FEW = 100  # frames that left; with fewer, all count
FEW_REPLIES = 10  # with fewer nothing is said of the worker; a slow one is asked seldom, so few must do
NS_PER_MS = 1e6
FINISHED = frozenset({"ok", "late"})
LEFT = frozenset({"offload", "split"})

Event = Mapping[str, Any]


def place_of(frames: Sequence[Event], *, otherwise: Place) -> Place:
    """What these lines show; what they say nothing of is as it is ``otherwise``."""
    worker_ms = worker_took_ms(frames)
    runs_ms: Quantile = otherwise.worker_run_ms
    if len(worker_ms) >= FEW_REPLIES:
        runs_ms = tuple(round(float(value), 4) for value in np.quantile(worker_ms, FRACTIONS))
    return Place(host=host_of(frames) if frames else otherwise.host, worker_run_ms=runs_ms)


def worker_took_ms(frames: Sequence[Event]) -> list[float]:
    """Runs of the worker: what a reply took beyond encoding, the way there and back, and decoding."""
    beyond_ms = (ENCODE_NS + DECODE_NS) / NS_PER_MS
    return [
        max(LEAST_MS, attempt["end_ms"] - attempt["start_ms"] - frame["rtt_ms"] - beyond_ms)
        for frame in frames
        for attempt in frame["attempts"]
        if attempt["path"] == "offload" and attempt["result"] in FINISHED and frame["rtt_ms"] is not None
    ]


def host_of(frames: Sequence[Event]) -> Host:
    """The host of these lines; the prompt one where they say nothing."""
    begun_ms = began_after_ms(frames)
    if not begun_ms:
        return HOSTS["prompt"]
    usual_ms = float(np.median(begun_ms))  # of handing a picture over, which is no lateness
    lateness = _table([max(LEAST_MS, at_ms - usual_ms) for at_ms in begun_ms], begin=0.0)
    return Host(lateness=lateness, run=_runs(frames))


def began_after_ms(frames: Sequence[Event]) -> list[float]:
    """How long after its schedule the first way of a frame was begun."""
    begun = [
        (frame["mode"], min(attempt["start_ms"] for attempt in frame["attempts"]))
        for frame in frames
        if frame["attempts"]
    ]
    left = [at_ms for mode, at_ms in begun if mode in LEFT]
    return left if len(left) >= FEW else [at_ms for _, at_ms in begun]


def _runs(frames: Sequence[Event]) -> Table:
    """Runs that took as long as the device class says took the prompt host's time; the others what they took."""
    took = [
        (frame["host_late"], attempt["end_ms"] - attempt["start_ms"])
        for frame in frames
        for attempt in frame["attempts"]
        if attempt["path"] == "local" and attempt["end_ms"] is not None
    ]
    late_ms = [took_ms for is_late, took_ms in took if is_late]
    (_, prompt_ms), *_ = HOSTS["prompt"].run
    if not late_ms:
        return HOSTS["prompt"].run
    in_time = 1 - len(late_ms) / len(took)
    before = ((0.0, prompt_ms), (in_time, prompt_ms)) if in_time > 0 else ()
    return (*before, *_table(late_ms, begin=in_time + 1e-6))


def _table(values_ms: Sequence[float], *, begin: float) -> Table:
    """Quantiles of these values over the shares from ``begin`` to 1."""
    at_ms = np.quantile(values_ms, SHARES)
    return tuple(
        (begin + (1 - begin) * fraction, round(float(value), 4))
        for fraction, value in zip(SHARES, at_ms, strict=True)
    )
