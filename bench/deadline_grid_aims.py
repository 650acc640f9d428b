"""Pure core: what the comparison of policies aims at, and where it falls short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CHOSEN, BOUND = "deadline", "always-duplicate"
MOST_BEHIND = 0.005
MOST_LOCAL_SHARE = 0.5  # of the runs that the bound begins here
POINTS = 100
RECORDED = "5g-"  # what names of recorded traces begin with
LEAST_RECORDED = 4
BY_CHANCE = 0.025  # of comparisons in which nothing differs and the interval says that the other is better
Row = Mapping[str, Any]


def judged(rows: Sequence[Row], *, over_all: Sequence[Row], traces: Sequence[str]) -> dict[str, Any]:
    """The aims, and the cells behind them."""
    chosen = {_cell(row): row for row in rows if row["policy"] == CHOSEN}
    bound = {_cell(row): row for row in rows if row["policy"] == BOUND}
    free = [cell for cell in chosen if _is_free(bound[cell])]
    short = [cell for cell in free if not _is_frugal(chosen[cell], bound[cell])]
    surely_better = [[*_cell(row), row["policy"]] for row in rows if row[f"hit_less_{CHOSEN}"][1] > 0]
    return {
        "surely_better_than_chosen": surely_better,
        "duplication_free_cells": len(free),
        "duplication_forced_cells": len(chosen) - len(free),
        "short_of_bound": [list(cell) for cell in short],
        "aims": [
            _aim_best(over_all, better=len(surely_better), of=len(rows) - len(chosen)),
            _aim_frugal(short, free=len(free), forced=len(chosen) - len(free)),
            _aim_by_worker(over_all),
            _aim_recorded(traces),
        ],
    }


def _cell(row: Row) -> tuple[str, str, int]:
    return row["trace"], row["device"], row["deadline_ms"]


def _is_free(bound: Row) -> bool:
    """Whether nine of ten answers of the worker are here before a run here would have to begin."""
    p90_ms = bound["remote_p90_ms"]
    return p90_ms is not None and p90_ms < bound["hedge_start_ms"]


def _is_frugal(chosen: Row, bound: Row) -> bool:
    near = chosen["hit"] >= bound["hit"] - MOST_BEHIND
    return bool(near and chosen["local_runs"] <= MOST_LOCAL_SHARE * bound["local_runs"])


def _hits_alike(row: Row) -> bool:
    _, low, high = row[f"hit_less_{CHOSEN}"]
    return bool(low <= 0 <= high)


def _aim_best(over_all: Sequence[Row], *, better: int, of: int) -> dict[str, Any]:
    """Over all cells, how much better any other policy is for sure."""
    apart = f"hit_less_{CHOSEN}"
    others = sorted((row for row in over_all if row["policy"] != CHOSEN), key=lambda row: -row[apart][1])
    sure = POINTS * others[0][apart][1] if others else None
    distances = ", ".join(f"{row['policy']} {_points(row[apart])}" for row in others)
    return {
        "what": "points of hit rate by which another policy is better for sure, all cells",
        "at_most": 0,
        "measured": None if sure is None else round(sure, 3),
        "met": sure is not None and sure <= 0,
        "note": f"points more: {distances}; better for sure in {better} of {of} cells and policies, "
        f"by chance {BY_CHANCE * of:.0f}",
    }


def _points(interval: Sequence[float]) -> str:
    measured, low, high = (POINTS * value for value in interval)
    return f"{measured:+.2f} [{low:.2f}, {high:.2f}]"


def _aim_frugal(short: Sequence[Any], *, free: int, forced: int) -> dict[str, Any]:
    return {
        "what": f"cells short of {BOUND}: more than 0.5 points behind, or with more than half of its local runs",
        "at_most": 0,
        "measured": len(short) if free else None,
        "met": free > 0 and not short,
        "note": f"{free} cells count, in {forced} duplication is forced",
    }


def _aim_by_worker(over_all: Sequence[Row]) -> dict[str, Any]:
    """Of the policies that hit as often, how many more frames any has answered by the worker's model."""
    equal = [row for row in over_all if row["policy"] != CHOSEN and _hits_alike(row)]
    most = max((POINTS * row[f"by_worker_less_{CHOSEN}"][0] for row in equal), default=None)
    names = ", ".join(row["policy"] for row in equal) or "no policy"
    return {
        "what": "points of frames that a policy of equal hit rate has more by the worker's model",
        "at_most": 0,
        "measured": None if most is None else round(most, 3),
        "met": most is None or most <= 0,
        "note": f"equal, by the paired interval: {names}",
    }


def _aim_recorded(traces: Sequence[str]) -> dict[str, Any]:
    """Without recordings the comparison rests on links that we described ourselves."""
    recorded = sum(name.startswith(RECORDED) for name in traces)
    return {
        "what": "recorded 5G traces among the links",
        "at_least": LEAST_RECORDED,
        "measured": recorded,
        "met": recorded >= LEAST_RECORDED,
    }
