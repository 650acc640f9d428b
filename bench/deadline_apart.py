"""Pure core: what came of the frames of a cell, really and simulated, and which frames make the difference.

A frame that was answered in time from its own pixels is told by who answered it; every other one by the first reason
that holds. Shares are of all frames of a cell, so the differences of all kinds add up to nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.deadline_host import FINISHED, began_after_ms, worker_took_ms
from headway.report import quantiles

FRESH = "fresh_on_time"
OUTCOMES = {"carried_on_time": "carried", "late": "late", "none": "no answer"}
BY = {"offload": "by the worker", "split": "by both", "local": "by the headset"}
HITS = frozenset(BY.values())
SHOWN_POINTS = 0.1
TOLD = 3  # kinds of frames in a note
PERCENTS = (50, 99, 99.9)

Event = Mapping[str, Any]


def _has_answer_in_time(frame: Event) -> bool:
    return any(_is_finished(tried) and tried["end_ms"] <= frame["deadline_ms"] for tried in frame["attempts"])


def _was_quick_enough(frame: Event) -> bool:
    return any(
        _is_finished(tried) and tried["end_ms"] - tried["start_ms"] <= frame["deadline_ms"]
        for tried in frame["attempts"]
    )


def _is_finished(tried: Mapping[str, Any]) -> bool:
    return tried["result"] in FINISHED and tried["end_ms"] is not None


# the first that holds of a frame without an answer of its own pixels in time
REASONS: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    ("no picture was captured", lambda frame: not frame["captured"]),
    ("no way was begun", lambda frame: not frame["attempts"]),
    ("a result was here in time and not used", _has_answer_in_time),
    ("the run took this host longer than the device", lambda frame: bool(frame["host_late"])),
    ("a way that was quick enough began too late", _was_quick_enough),
    ("every way took longer than the deadline, or never came", lambda _frame: True),
)


def kind_of(frame: Event) -> str:
    """What came of a frame, in words."""
    if frame["outcome"] == FRESH:
        return BY.get(frame["path"], str(frame["path"]))
    why = next(words for words, holds in REASONS if holds(frame))
    return f"{OUTCOMES[frame['outcome']]}: {why}"


def came_of(frames: Sequence[Event]) -> dict[str, Any]:
    """The frames of one side in numbers; shares by kind."""
    kinds = Counter(map(kind_of, frames))
    count = len(frames)
    fresh = sum(frame["outcome"] == FRESH for frame in frames)
    return {
        "frames": count,
        "hit_rate": round(fresh / count, 5) if count else None,
        "kinds": {kind: round(number / count, 5) for kind, number in kinds.most_common()},
        "began_after_ms": quantiles(began_after_ms(frames), PERCENTS),
        "worker_took_ms": quantiles(worker_took_ms(frames), PERCENTS),
        "host_late": sum(bool(frame["host_late"]) for frame in frames),
    }


def apart(real: Mapping[str, Any], simulated: Mapping[str, Any]) -> dict[str, Any]:
    """Points of hit rate between two sides, and by kind where they differ, the most first; real less simulated."""
    if real["hit_rate"] is None or simulated["hit_rate"] is None:
        return {"points_apart": None, "points_by_kind": {}}
    kinds = {**real["kinds"], **simulated["kinds"]}
    points = {kind: 100 * (real["kinds"].get(kind, 0) - simulated["kinds"].get(kind, 0)) for kind in kinds}
    ordered = sorted(points.items(), key=lambda pair: -abs(pair[1]))
    return {
        "points_apart": round(100 * abs(real["hit_rate"] - simulated["hit_rate"]), 2),
        "points_by_kind": {kind: round(by, 2) for kind, by in ordered if abs(by) >= SHOWN_POINTS},
    }


def note_of(row: Mapping[str, Any], *, cell: str) -> str:
    """Why the hit rates of a cell's two sides are apart, in a sentence: the frames that missed on one side only."""
    kinds = [f"{by:+g} points {kind}" for kind, by in row["points_by_kind"].items() if kind not in HITS][
        :TOLD
    ]
    began, simulated = (row[side]["began_after_ms"] for side in ("real", "simulated"))
    return (
        f"{cell}: {', '.join(kinds) or 'no kind of frames differs'}; frames began {began['p99']} ms after their "
        f"schedule at p99, simulated {simulated['p99']} ms"
    )
