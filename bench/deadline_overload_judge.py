"""What a worker under more load than it can answer came to, and the aims that holds against. Pure.

Headsets and worker read one clock, so when a run began is known against when its frame's time was over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.deadline_crowd import Asked, Pinged
from bench.deadline_flood import Flood
from headway.report import quantiles

WARM_S = 1.0  # a cell begins with an empty line
NS_PER_S, NS_PER_US = 1e9, 1e3


def judge(
    asked: Sequence[Asked],
    names: Sequence[str],
    *,
    capacity_per_s: float,
    memory: Sequence[int],
    pings: Sequence[Pinged],
    unsent: int = 0,
) -> dict[str, Any]:
    """What one cell came to.

    Args:
        asked: every request of the cell.
        names: of the headsets.
        capacity_per_s: answers a second where the worker always has a frame.
        memory: bytes the worker held, in the order of time.
        pings: what a round trip took meanwhile.
        unsent: requests that never left their headset.
    """
    begin_ns = min(row.sent_ns for row in asked) + round(WARM_S * NS_PER_S)
    rows = [row for row in asked if row.sent_ns >= begin_ns]
    span_s = (max(row.sent_ns for row in rows) - begin_ns) / NS_PER_S
    ran = [row for row in rows if row.ran_ns]
    fresh = [row for row in ran if row.heard_ns <= row.over_ns]
    refused = [row for row in rows if row.refusal]
    heard = [ping for ping in pings if ping.heard_ns and ping.sent_ns >= begin_ns]
    rtt_us = [(ping.heard_ns - ping.sent_ns) / NS_PER_US for ping in heard]
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
        "pings": len(heard),
        "rtt_us": rtt,
        "way_us": quantiles([row.way_ns / NS_PER_US for row in rows if row.replies], (50, 90, 99)),
        "refusal_us": refusal,
        "refusal_over_rtt": {name: _ratio(refusal[name], rtt[name]) for name in rtt},
        "refused_within_rtt_p99": _within(refusal_us, rtt["p99"]),
        "held_refusal_us": quantiles([row.queue_ns / NS_PER_US for row in refused], (50, 90, 99)),
        "goodput_per_s": round(len(fresh) / span_s, 1),
        "goodput_over_capacity": round(len(fresh) / span_s / capacity_per_s, 3),
        "slot_share": _slot_share(fresh, span_s=span_s),
        "jain": round(jain([shares[name] for name in names]), 4),
        "memory_bytes": [memory[0], memory[-1]] if memory else [],
        "memory_growth": _growth(memory),
    }


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all got the same, 1/n where one got everything."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def judge_flood(flooded: Flood, *, capacity_per_s: float, memory: Sequence[int]) -> dict[str, Any]:
    """What a flood came to; what was heard after it had ended is no answer of a worker that is flooded."""
    ran = [row for row in flooded.replies if row.ran_ns]
    refused = [row for row in flooded.replies if row.refusal]
    fresh = [row for row in ran if row.heard_ns <= min(row.over_ns, flooded.ended_ns)]
    return {
        "sent": flooded.sent,
        "offered_over_capacity": round(flooded.sent / flooded.span_s / capacity_per_s, 1),
        "run": len(ran),
        "begun_expired": sum(row.received_ns + row.queue_ns >= row.over_ns for row in ran),
        "refused": dict(Counter(row.refusal for row in refused)),
        "refusal_us": quantiles([(row.heard_ns - row.sent_ns) / NS_PER_US for row in refused], (50, 90, 99)),
        "goodput_per_s": round(len(fresh) / flooded.span_s, 1),
        "goodput_over_capacity": round(len(fresh) / flooded.span_s / capacity_per_s, 3),
        "slot_share": _slot_share(fresh, span_s=flooded.span_s),
        "memory_bytes": [memory[0], memory[-1]] if memory else [],
        "memory_growth": _growth(memory),
    }


def _slot_share(fresh: Sequence[Asked], *, span_s: float) -> float:
    """The part of the time in which the slot computed what was heard in time: a busy host slows runs, and not this."""
    return round(sum(row.ran_ns for row in fresh) / NS_PER_S / span_s, 3)


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


Aim = tuple[str, str, float, Callable[[Mapping[str, Any]], float | None]]

_EXPIRED: Aim = (
    "runs begun after their frame's time was over",
    "at_most",
    0,
    lambda cell: cell["begun_expired"],
)
_MEMORY: Aim = ("worker's memory, end over begin", "at_most", 1.05, lambda cell: cell["memory_growth"])
AIMS: tuple[Aim, ...] = (
    _EXPIRED,
    ("requests without a reply", "at_most", 0, lambda cell: cell["unanswered"]),
    (
        "part of refusals heard within the RTT's p99",
        "at_least",
        0.98,
        lambda cell: cell["refused_within_rtt_p99"],
    ),
    ("fresh answers in time over capacity", "at_least", 0.9, lambda cell: cell["goodput_over_capacity"]),
    ("Jain index over headsets", "at_least", 0.95, lambda cell: cell["jain"]),
    _MEMORY,
)
FLOOD_AIMS: tuple[Aim, ...] = (
    _EXPIRED,
    ("part of the slot's time for what is heard in time", "at_least", 0.5, lambda cell: cell["slot_share"]),
    # what waits to be looked at is bounded by time, so it comes and goes
    ("worker's memory, end over begin", "at_most", 1.1, lambda cell: cell["memory_growth"]),
)


def aims(cell: Mapping[str, Any], rows: Sequence[Aim]) -> list[dict[str, Any]]:
    rows_judged = []
    for what, bound, limit, of in rows:
        measured = of(cell)
        met = measured is not None and (measured <= limit if bound == "at_most" else measured >= limit)
        rows_judged.append(
            {"what": f"{cell['name']}: {what}", bound: limit, "measured": measured, "met": met}
        )
    return rows_judged
