"""Pure core: the demo's report, from frame lines and what the manager said.

Nothing here measures: every figure comes from the event log or from the manager's answers. Outcomes are
as the headset logged them; ``headway.checker`` judges them a second time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headway.checker import OUTCOMES, check

NS_PER_MS = 1e6

Event = Mapping[str, Any]


def frames_of(events: Sequence[Event], headset: str) -> list[Event]:
    """The frame lines of one headset in order."""
    lines = [event for event in events if event["kind"] == "frame" and event["headset"] == headset]
    return sorted(lines, key=lambda event: event["frame_id"])


def headset_report(headset: str, events: Sequence[Event], *, registered_s: float | None) -> dict[str, Any]:
    """One entry of ``headsets``. Latencies are over answered frames, from the scheduled capture."""
    frames = frames_of(events, headset)
    outcomes = Counter(frame["outcome"] for frame in frames)
    paths = Counter(frame["path"] for frame in frames)
    answered = [frame for frame in frames if frame["outcome"] != "none"]
    switches = sum(1 for event in events if event["kind"] == "switch" and event["headset"] == headset)
    return {
        "id": headset,
        "registered_s": registered_s,
        "scheduled": len(frames),
        "captured": sum(1 for frame in frames if frame["captured"]),
        "skipped": sum(1 for frame in frames if frame["skipped"]),
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "unanswered": outcomes["late"] + outcomes["none"],
        "latency_ms": quantiles([frame["latency_ms"] for frame in answered], (50, 99)),
        "age_ms": quantiles([frame["age_ms"] for frame in answered], (99,)),
        "paths": {path: paths[path] for path in ("local", "offload", "split")},
        "switches": switches,
        "model": frames[-1]["model"] if frames else None,
        "host_late": sum(1 for frame in frames if frame["host_late"]),
    }


def outage_report(
    headset: str, events: Sequence[Event], *, cut_ns: int | None, restored_ns: int | None
) -> dict[str, Any]:
    """What happened to a headset whose network was cut; times are the host's monotonic clock."""
    if cut_ns is None or restored_ns is None:
        return {
            "headset": headset,
            "seconds": 0.0,
            "frames": 0,
            **dict.fromkeys(OUTCOMES, 0),
            "unanswered": None,
            "first_local_after_ms": None,
            "first_offload_after_ms": None,
        }
    frames = frames_of(events, headset)
    during = [frame for frame in frames if cut_ns <= frame["scheduled_ns"] < restored_ns]
    outcomes = Counter(frame["outcome"] for frame in during)
    return {
        "headset": headset,
        "seconds": round((restored_ns - cut_ns) / 1e9, 3),
        "frames": len(during),
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "unanswered": outcomes["late"] + outcomes["none"],
        "first_local_after_ms": _first_after_ms(frames, "local", cut_ns),
        "first_offload_after_ms": _first_after_ms(frames, "offload", restored_ns),
    }


def outage_words(outage: Mapping[str, Any]) -> str:
    """One sentence on how the outage went; empty where there was none."""
    if outage["unanswered"] is None:
        return ""
    kinds = [
        f"{outage[name]} {word}"
        for name, word in (("fresh_on_time", "fresh and on time"), ("carried_on_time", "carried"))
        if outage[name]
    ]
    kinds.append(f"{outage['unanswered'] or 'none'} unanswered")
    first = outage["first_local_after_ms"]
    again = outage["first_offload_after_ms"]
    after = f", first local answer after {first:.0f} ms" if first is not None else ""
    back = f", offloading again {again / 1000:.1f} s after its end" if again is not None else ""
    return (
        f"{outage['headset']} without network for {outage['seconds']:.1f} s: "
        f"{outage['frames']} frames, {', '.join(kinds)}{after}{back}"
    )


def _first_after_ms(frames: Sequence[Event], path: str, since_ns: int) -> float | None:
    """When the first frame scheduled since then was answered on this path."""
    answers = [
        frame["answer_ns"] for frame in frames if frame["path"] == path and frame["scheduled_ns"] >= since_ns
    ]
    return round((min(answers) - since_ns) / NS_PER_MS, 1) if answers else None


def quantiles(values: Sequence[float], percents: Sequence[float]) -> dict[str, float | None]:
    """``{"p50": …}`` in the unit of the values; None where there are none."""
    if not values:
        return {f"p{percent}": None for percent in percents}
    found = np.percentile(np.asarray(values, dtype=np.float64), percents)
    return {f"p{percent}": round(float(value), 2) for percent, value in zip(percents, found, strict=True)}


def findings_of(
    claims: Mapping[str, Mapping[str, Any]], events: Sequence[Event], *, headsets: Sequence[str]
) -> list[str]:
    """What the independent checker finds in each headset's log against what the headset itself claims.

    Args:
        claims: the summary each headset gave when it ended, kept by its own ledger and not by the log.
        events: all lines.
        headsets: those that took part.
    """
    found = [f"{name} gave no summary when it ended" for name in headsets if name not in claims]
    found += [
        f"{event['headset']} lost {event['lines']} lines of its log ({event['kind']})"
        for event in events
        if event["kind"] in {"torn", "dropped"}
    ]
    return found + [
        f"{finding.headset} frame {finding.frame_id}: {finding.text}"
        for name in headsets
        if name in claims
        for finding in check(name, frames_of(events, name), claims[name])
    ]


EXPECTED_REASONS = ("digest_mismatch", "golden_mismatch", "unloadable")


def shortfalls(report: Mapping[str, Any]) -> list[str]:
    """What the run promised and did not do; these make the demo's exit status 1."""
    found: list[str] = [report["error"]] if report["error"] else []
    found += [f"int8 was refused: {reason}" for reason in report["agreement"].get("refused", ())]
    for entry in report["headsets"]:
        if entry["registered_s"] is None:
            found.append(f"{entry['id']} never registered")
        if entry["none"]:
            found.append(f"{entry['id']} left {entry['none']} frames without an answer")
        if not entry["scheduled"]:
            found.append(f"{entry['id']} scheduled no frame")
        elif not entry["fresh_on_time"]:
            found.append(f"{entry['id']} answered no frame from its own pixels")
    found += _path_shortfalls(report)
    outcomes = [(row["outcome"], row["reason"]) for row in report["deployments"]]
    if not outcomes or outcomes[0][0] != "succeeded":
        found.append("the group's deployment did not succeed")
    refused = sorted(reason for outcome, reason in outcomes[1:] if outcome == "failed" and reason)
    found += [
        f"no deployment failed with {reason}"
        for reason in EXPECTED_REASONS
        if not any(reason in text for text in refused)
    ]
    found += [
        f"{row['id']} should have failed but {row['outcome']}"
        for row in report["deployments"][1:]
        if row["outcome"] != "failed"
    ]
    return found + [f"the checker disagrees: {text}" for text in report["checker"]["findings"]]


def _path_shortfalls(report: Mapping[str, Any]) -> list[str]:
    """Both ways must have been used, and the outage survived and overcome."""
    used = {path for entry in report["headsets"] for path, count in entry["paths"].items() if count}
    found = [f"no frame was answered by {path}" for path in ("local", "offload") if path not in used]
    outage = report["outage"]
    if outage["unanswered"] is None:
        return found
    if outage["first_local_after_ms"] is None:
        found.append(f"{outage['headset']} did not go on locally in the outage")
    if outage["first_offload_after_ms"] is None:
        found.append(f"{outage['headset']} did not offload again after the outage")
    return found


MOST_LATE, MOST_SKIPPED = 0.01, 0.02  # shares of the scheduled frames


def missed_aims(report: Mapping[str, Any]) -> list[str]:
    """What a faster or idler host would have shown; said plainly, but no failure of the system."""
    found: list[str] = []
    for entry in report["headsets"]:
        for name, most in (("late", MOST_LATE), ("skipped", MOST_SKIPPED)):
            if entry[name] > most * entry["scheduled"]:
                share = entry[name] / entry["scheduled"]
                found.append(f"{entry['id']} has {share:.1%} {name} frames, at most {most:.0%} were aimed at")
    if report["outage"]["unanswered"]:
        found.append(f"{report['outage']['unanswered']} frames of the outage came late")
    return found
