"""Pure core: what came of every frame of a run, as columns that can be added up by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.world.headset import Seen
from edge_node.decide import Path
from edge_node.flight import Attempt, Flight
from edge_node.outcome import Outcome

NS_PER_MS = 1e6
FINISHED = frozenset({"ok", "late"})
Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """One row per frame, in order. ``remote_ms`` is infinite for a reply that never came, NaN where nothing was sent."""

    hit: Column
    by_worker: Column
    carried: Column
    unanswered: Column
    local_runs: Column
    wasted_runs: Column
    host_late: Column
    latency_ms: Column
    age_ms: Column
    remote_ms: Column

    def blocks(self, name: str, *, frames: int) -> Column:
        """Sums of a column over so many frames in turn; what is left over at the end is left out."""
        column: Column = getattr(self, name)
        whole = len(column) // frames * frames
        sums: Column = column[:whole].reshape(-1, frames).sum(axis=1)
        return sums


def frames_of(seen: Seen) -> Frames:
    """The columns of a run."""
    rows = np.array([_row(flight, seen) for flight in sorted(seen.flights, key=lambda f: f.frame_id)])
    names = Frames.__slots__
    return Frames(**dict(zip(names, rows.T, strict=True)))


def joined(runs: Sequence[Frames]) -> Frames:
    """Several runs as one."""
    return Frames(**{name: np.concatenate([getattr(run, name) for run in runs]) for name in Frames.__slots__})


def _row(flight: Flight, seen: Seen) -> tuple[float, ...]:
    answer = flight.answer
    if answer is None:
        raise ValueError(f"frame {flight.frame_id} has no answer: finish the run first")
    hit = answer.outcome is Outcome.FRESH_ON_TIME
    own = answer.result_frame_id == flight.frame_id
    done = sum(attempt.result in FINISHED for attempt in flight.attempts)
    return (
        hit,
        hit and answer.path is Path.OFFLOAD,
        answer.outcome is Outcome.CARRIED_ON_TIME,
        answer.outcome in {Outcome.LATE, Outcome.NONE},
        seen.runs[flight.frame_id],
        max(0, done - own),
        flight.host_late,
        (answer.answer_ns - flight.scheduled_ns) / NS_PER_MS,
        np.nan if answer.age_ns is None else answer.age_ns / NS_PER_MS,
        _remote_ms(flight.attempts, flight.scheduled_ns),
    )


def _remote_ms(attempts: Sequence[Attempt], scheduled_ns: int) -> float:
    """From the scheduled moment until the worker's answer was here."""
    for attempt in attempts:
        if attempt.path is Path.OFFLOAD:
            came = attempt.result in FINISHED and attempt.end_ns is not None
            return ((attempt.end_ns or 0) - scheduled_ns) / NS_PER_MS if came else np.inf
    return np.nan
