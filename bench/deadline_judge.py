"""Pure core: what a real run came to, judged from the raw event lines by ``headway.checker`` and a witness of the host.

An unanswered frame (late or none) gets one cause, and the fault it was scheduled in. What nothing explains is said to
be unexplained. A frame that no answer of its own pixels reached in time is counted as beyond every path where each way
it was tried took longer than the whole deadline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.deadline_faults import Window, fault_at
from bench.deadline_witness import Stall, longest_overlap_ns
from headway.report import frames_of, quantiles

NS_PER_MS = 1e6
BEFORE_DUE_NS = 10_000_000  # a stall that begins shortly before the deadline keeps the carry from being made
STALL_SHARE = 0.5  # of how late the answer was, that a stall must have lasted to explain it
SHOWN = 12
UNANSWERED = ("late", "none")
UNEXPLAINED = ("woken_late", "unexplained")

Event = Mapping[str, Any]


def judge(
    events: Sequence[Event],
    headset: str,
    *,
    windows: Sequence[Window],
    stalls: list[Stall],
    starved: list[Stall],
) -> dict[str, Any]:
    """Counts and causes of one headset.

    Args:
        events: all lines of the run.
        headset: whose frames are judged.
        windows: the faults that were played.
        stalls: when this host woke nobody in time.
        starved: when this headset's own thread got no core.
    """
    frames = frames_of(events, headset)
    outcomes = Counter(frame["outcome"] for frame in frames)
    lost = [frame for frame in frames if frame["outcome"] in UNANSWERED]
    first_ns = min((frame["answer_ns"] for frame in frames if _is_fresh(frame)), default=None)
    causes = [cause_of(frame, stalls=stalls, starved=starved, first_ns=first_ns) for frame in lost]
    answered = [frame["latency_ms"] for frame in frames if frame["outcome"] != "none"]
    return {
        "headset": headset,
        "frames": len(frames),
        "unanswered": len(lost),
        "unanswered_unexplained": sum(cause in UNEXPLAINED for cause in causes),
        "causes": dict(Counter(causes)),
        "outcomes": dict(outcomes),
        "fresh_share": round(outcomes["fresh_on_time"] / max(1, len(frames)), 5),
        "paths": dict(Counter(frame["path"] for frame in frames)),
        "skipped": sum(bool(frame["skipped"]) for frame in frames),
        "host_late": sum(bool(frame["host_late"]) for frame in frames),
        "latency_ms": quantiles(answered, (50, 95, 99)),
        "own_pixels": own_pixels(frames),
        "by_fault": _by_fault(frames, windows),
        "unanswered_frames": [
            _shown(frame, cause, windows) for frame, cause in zip(lost[:SHOWN], causes, strict=False)
        ],
    }


def cause_of(frame: Event, *, stalls: list[Stall], starved: list[Stall], first_ns: int | None = None) -> str:
    """Why a frame was late or had no answer, as far as it can be known from outside.

    A headset with a memory could have carried at any moment, so a late answer means that its loop was woken late:
    ``host_stall`` where the witness saw the host do it, ``starved`` where the kernel says that the loop's thread stood
    ready and got no core, ``woken_late`` where nobody saw it. ``nothing_yet`` is a frame before the first result at all
    (``first_ns``), which nothing can carry.
    """
    due_ns = frame["scheduled_ns"] + round(frame["deadline_ms"] * NS_PER_MS)
    if first_ns is None or first_ns > due_ns:
        return "nothing_yet"
    if frame["outcome"] != "late":
        return "unexplained"
    late_ns = frame["answer_ns"] - due_ns
    for cause, seen in (("host_stall", stalls), ("starved", starved)):
        if longest_overlap_ns(seen, due_ns - BEFORE_DUE_NS, frame["answer_ns"]) >= STALL_SHARE * late_ns:
            return cause
    return "woken_late"


def own_pixels(frames: Sequence[Event]) -> dict[str, Any]:
    """Frames without an answer of their own pixels in time, and which of them no way could have given one."""
    missed = [frame for frame in frames if not _is_fresh(frame)]
    beyond = [frame for frame in missed if _is_beyond(frame)]
    runs = [
        attempt["end_ms"] - attempt["start_ms"]
        for frame in frames
        for attempt in frame["attempts"]
        if attempt["path"] == "local" and attempt["end_ms"] is not None
    ]
    return {
        "missed": len(missed),
        "missed_not_captured": sum(not frame["captured"] for frame in missed),
        "beyond_every_path": len(beyond),
        "beyond_and_host_late": sum(bool(frame["host_late"]) for frame in beyond),
        "local_run_ms": quantiles(runs, (50, 99, 99.9)),
    }


def _is_fresh(frame: Event) -> bool:
    return bool(frame["outcome"] == "fresh_on_time")


def _is_beyond(frame: Event) -> bool:
    """Whether every way that was tried took longer than the deadline, even had it begun with the schedule."""
    tried = frame["attempts"]
    return bool(tried) and all(
        attempt["end_ms"] is None or attempt["end_ms"] - attempt["start_ms"] > frame["deadline_ms"]
        for attempt in tried
    )


def _by_fault(frames: Sequence[Event], windows: Sequence[Window]) -> dict[str, dict[str, int]]:
    rows: dict[str, Counter[str]] = {}
    for frame in frames:
        fault = fault_at(windows, headset=frame["headset"], at_ns=frame["scheduled_ns"])
        row = rows.setdefault(fault, Counter())
        row["frames"] += 1
        row[frame["outcome"]] += 1
    return {fault: dict(row) for fault, row in rows.items()}


def _shown(frame: Event, cause: str, windows: Sequence[Window]) -> dict[str, Any]:
    late_ns = None if frame["answer_ns"] is None else frame["answer_ns"] - frame["scheduled_ns"]
    return {
        "frame_id": frame["frame_id"],
        "cause": cause,
        "fault": fault_at(windows, headset=frame["headset"], at_ns=frame["scheduled_ns"]),
        "answered_after_ms": None if late_ns is None else round(late_ns / NS_PER_MS, 3),
        "path": frame["path"],
        "attempts": frame["attempts"],
    }
