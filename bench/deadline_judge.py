"""Pure core: what a real run came to, judged from the raw event lines by ``headway.checker`` and a witness of the host.

An unanswered frame (late or none) gets one cause, and the fault it was scheduled in. What nothing explains is said to
be unexplained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.deadline_faults import Window, fault_at
from bench.deadline_witness import Stall, longest_overlap_ns
from headway.report import findings_of, frames_of, quantiles

NS_PER_MS = 1e6
BEFORE_DUE_NS = 10_000_000  # a stall that begins shortly before the deadline keeps the carry from being made
STALL_SHARE = 0.5  # of how late the answer was, that a stall must have lasted to explain it
SHOWN = 12
UNANSWERED = ("late", "none")

Event = Mapping[str, Any]


def judge(
    events: Sequence[Event],
    claims: Mapping[str, Mapping[str, Any]],
    *,
    headsets: Sequence[str],
    windows: Sequence[Window],
    stalls: list[Stall],
) -> dict[str, Any]:
    """Counts, causes and what the checker found."""
    frames = [frame for headset in headsets for frame in frames_of(events, headset)]
    outcomes = Counter(frame["outcome"] for frame in frames)
    lost = [frame for frame in frames if frame["outcome"] in UNANSWERED]
    causes = Counter(cause_of(frame, stalls) for frame in lost)
    answered = [frame["latency_ms"] for frame in frames if frame["outcome"] != "none"]
    return {
        "frames": len(frames),
        "unanswered": len(lost),
        "unanswered_unexplained": causes["unexplained"],
        "fresh_share": round(outcomes["fresh_on_time"] / max(1, len(frames)), 5),
        "outcomes": dict(outcomes),
        "paths": dict(Counter(frame["path"] for frame in frames)),
        "skipped": sum(bool(frame["skipped"]) for frame in frames),
        "host_late": sum(bool(frame["host_late"]) for frame in frames),
        "latency_ms": quantiles(answered, (50, 95, 99)),
        "causes": dict(causes),
        "by_fault": _by_fault(frames, windows),
        "unanswered_frames": [_shown(frame, windows, stalls) for frame in lost[:SHOWN]],
        "checker_findings": findings_of(claims, events, headsets=headsets),
        "torn_lines": sum(event["lines"] for event in events if event["kind"] in ("torn", "dropped")),
    }


def cause_of(frame: Event, stalls: list[Stall]) -> str:
    """Why a frame was late or had no answer, as far as it can be known from outside.

    A headset with a memory could have carried at any moment, so a late answer means that its loop was woken late:
    ``host_stall`` where the witness saw the host do it, ``woken_late`` where it did not see it.
    """
    if frame["outcome"] != "late":
        return "unexplained"
    due_ns = frame["scheduled_ns"] + round(frame["deadline_ms"] * NS_PER_MS)
    late_ns = frame["answer_ns"] - due_ns
    stalled_ns = longest_overlap_ns(stalls, due_ns - BEFORE_DUE_NS, frame["answer_ns"])
    return "host_stall" if stalled_ns >= STALL_SHARE * late_ns else "woken_late"


def _by_fault(frames: Sequence[Event], windows: Sequence[Window]) -> dict[str, dict[str, int]]:
    rows: dict[str, Counter[str]] = {}
    for frame in frames:
        fault = fault_at(windows, headset=frame["headset"], at_ns=frame["scheduled_ns"])
        row = rows.setdefault(fault, Counter())
        row["frames"] += 1
        row[frame["outcome"]] += 1
    return {fault: dict(row) for fault, row in rows.items()}


def _shown(frame: Event, windows: Sequence[Window], stalls: list[Stall]) -> dict[str, Any]:
    late_ns = None if frame["answer_ns"] is None else frame["answer_ns"] - frame["scheduled_ns"]
    return {
        "headset": frame["headset"],
        "frame_id": frame["frame_id"],
        "cause": cause_of(frame, stalls),
        "fault": fault_at(windows, headset=frame["headset"], at_ns=frame["scheduled_ns"]),
        "answered_after_ms": None if late_ns is None else round(late_ns / NS_PER_MS, 3),
        "path": frame["path"],
        "attempts": frame["attempts"],
    }
