"""Pure core: the newest decisions of a headset, as rows that people can ask for."""

from collections import deque

from edge_node.decide import Considered, Decision, LinkView
from edge_node.estimates.clock import Legs
from edge_node.flight import Flight, ms

KEPT = 16
MOST_CANDIDATES = (
    112  # of all decisions told together, those of the newest first: an answer has 64 KiB of room
)


class Decisions:
    """The last ``limit`` decisions, oldest first. Rows are made when asked for: frames must not wait for them."""

    def __init__(self, *, limit: int = KEPT) -> None:
        self._kept: deque[tuple[int, str, LinkView, Decision]] = deque(maxlen=limit)

    def note(self, flight: Flight, view: LinkView, decision: Decision, *, policy: str) -> None:
        """Remember one; views and decisions are never changed afterwards."""
        self._kept.append((flight.frame_id, policy, view, decision))

    def rows(self) -> list[dict[str, object]]:
        """What was known, weighed and decided; may be called from another thread."""
        room, rows = MOST_CANDIDATES, []
        for kept in reversed(list(self._kept)):
            room -= len(kept[-1].considered)
            rows.append(_row(*kept, candidates=room >= 0))
        return rows[::-1]


def _row(
    frame_id: int, policy: str, view: LinkView, decision: Decision, *, candidates: bool
) -> dict[str, object]:
    hedge_at_ns = None if view.local is None else view.local.hedge_at_ns
    return {
        "frame_id": frame_id,
        "policy": policy,
        "path": decision.path.value,
        "worker": decision.worker,
        "duplicate": decision.duplicate,
        "reason": decision.reason,
        "p_on_time": _rounded(decision.p_on_time),
        "quality": decision.quality,
        **_placement(decision),
        "energy_j": _rounded(decision.energy_j, 5),
        "hedge_in_ns": None if hedge_at_ns is None else hedge_at_ns - view.now_ns,
        "inputs": _inputs(view),
        "considered": [_candidate(row) for row in decision.considered] if candidates else [],
    }


def _inputs(view: LinkView) -> dict[str, object]:
    known, body = view.offload, view.vitals
    return {
        "budget_ms": ms(view.deadline_ns - view.now_ns),
        "link_ready": view.ready,
        "worker": view.worker,
        "reply_predicted_ms": None if known is None else ms(known.predicted_ns),
        "link_samples": 0 if known is None else known.samples,
        "link_stalled": known is not None and known.stalled,
        **newest_legs(None if known is None else known.legs),
        "p_local_now": None if view.local is None else _rounded(view.local.p_now),
        "p_local_hedged": None if view.local is None else _rounded(view.local.p_hedged),
        "critical": view.critical,
        "may_duplicate": view.may_duplicate,
        "battery": None if body is None else _rounded(body.battery_fraction),
        "temperature_c": None if body is None else _rounded(body.temperature_c, 1),
        "throttle_in_s": None if body is None else _rounded(body.throttle_in_s, 1),
    }


def newest_legs(legs: Legs | None) -> dict[str, object]:
    """Where the newest reply spent its time; None where no reply told."""
    return {
        "newest_uplink_ms": None if legs is None else ms(legs.uplink_ns),
        "newest_worker_ms": None if legs is None else ms(legs.worker_ns),
        "newest_downlink_ms": None if legs is None else ms(legs.downlink_ns),
    }


def _candidate(row: Considered) -> dict[str, object]:
    return {
        "path": row.path.value,
        "worker": row.worker,
        "p_on_time": _rounded(row.p_on_time),
        "why_not": row.why_not,
        "quality": row.quality,
        **_placement(row),
        "energy_j": _rounded(row.energy_j, 5),
        "cost": _rounded(row.cost),
        "score": _rounded(row.score),
    }


def _placement(told: Decision | Considered) -> dict[str, object]:
    """Where the model is cut; nothing of other ways."""
    return {} if told.placement is None else {"placement": str(told.placement)}


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
