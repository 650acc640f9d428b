"""Pure core: an independent judge of a run. It recomputes every outcome from the raw event log.

It imports no other file of this project on purpose: the rules of the outcomes are written here a second
time, from their definition, so that a mistake in the headset's own book-keeping shows as a difference.

A scheduled frame is exactly one of: ``fresh_on_time`` (answered from its own pixels by scheduled capture +
deadline), ``carried_on_time`` (answered by then with an older result), ``late``, ``none``. A run that came to a result
but did not answer its frame was wasted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FINISHED = frozenset({"ok", "late"})  # how an attempt ended that came to a result
OUTCOMES = ("fresh_on_time", "carried_on_time", "late", "none")
NS_PER_MS = 1e6

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not add up."""

    headset: str
    frame_id: int | None
    text: str


def recompute(event: Event) -> str:
    """The outcome of one frame line, from its times and result alone."""
    answer_ns, result_frame_id = event["answer_ns"], event["result_frame_id"]
    if result_frame_id is None or answer_ns is None:
        return "none"
    on_time_ns = _number(event["scheduled_ns"]) + _number(event["deadline_ms"]) * NS_PER_MS
    if _number(answer_ns) > on_time_ns:
        return "late"
    return "fresh_on_time" if result_frame_id == event["frame_id"] else "carried_on_time"


def wasted(event: Event) -> int:
    """How many attempts came to a result that did not answer the frame of this line."""
    attempts = event.get("attempts", ())
    if not isinstance(attempts, Sequence):
        raise TypeError(f"a list of attempts was expected in the event log, not {attempts!r}")
    finished = [attempt["path"] for attempt in attempts if attempt["result"] in FINISHED]
    fresh = event["result_frame_id"] is not None and event["result_frame_id"] == event["frame_id"]
    return len(finished) - (fresh and event.get("path") in finished)


def check(headset: str, frames: Iterable[Event], claimed: Mapping[str, int]) -> list[Finding]:
    """Compare one headset's frame lines with what it claims; an empty list means they agree.

    Args:
        headset: its id.
        frames: its frame lines in any order.
        claimed: ``scheduled`` and one count per outcome.
    """
    findings: list[Finding] = []
    seen: Counter[int] = Counter()
    outcomes: Counter[str] = Counter()
    for event in frames:
        frame_id = int(_number(event["frame_id"]))
        seen[frame_id] += 1
        outcome = recompute(event)
        outcomes[outcome] += 1
        if outcome != event["outcome"]:
            findings.append(
                _finding(headset, frame_id, f"logged {event['outcome']}, the times say {outcome}")
            )
        if (runs := wasted(event)) != event.get("wasted_runs", 0):
            said = event.get("wasted_runs", 0)
            findings.append(
                _finding(headset, frame_id, f"logged {said} wasted runs, its attempts say {runs}")
            )
    findings += [
        _finding(headset, frame_id, f"answered {times} times")
        for frame_id, times in seen.items()
        if times > 1
    ]
    missing = set(range(max(seen, default=-1) + 1)) - set(seen)
    findings += [_finding(headset, frame_id, "scheduled but not in the log") for frame_id in sorted(missing)]
    recounted = {"scheduled": len(seen), **{outcome: outcomes[outcome] for outcome in OUTCOMES}}
    for name, count in recounted.items():
        if claimed.get(name) != count:
            findings.append(
                _finding(headset, None, f"claims {claimed.get(name)} {name}, the log has {count}")
            )
    return findings


def _finding(headset: str, frame_id: int | None, text: str) -> Finding:
    return Finding(headset=headset, frame_id=frame_id, text=text)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number was expected in the event log, not {value!r}")
    return value
