"""What the tests of the policy ``deadline`` tell it: chances, rungs, a body and a chip."""

from dataclasses import dataclass

from edge_node.decide import ChipView, LinkView, LocalView, PairView, PartView, Rung
from edge_node.device_class import Thermal
from edge_node.energy import POWERS
from edge_node.vitals import Vitals
from schemas.placements import Placement

MS = 1_000_000
S = 1000 * MS
FRAME_NS = 33 * MS
BUDGET_NS = 100 * MS
COOL = Vitals(battery_fraction=0.9, temperature_c=35.0, thermal=Thermal.NOMINAL)
CHIP = ChipView(power=POWERS["xr-slow"], run_ns=20 * MS)


@dataclass(frozen=True, kw_only=True)
class Chance:
    """A forecast that says one chance, whatever the budget."""

    p: float
    samples: int = 50
    p95_ns: int = 30 * MS
    predicted_ns: int = 20 * MS

    def p_at(self, budget_ns):
        assert budget_ns <= BUDGET_NS
        return self.p if budget_ns > 0 else 0.0

    def at(self, fraction):
        assert fraction == 0.95
        return self.p95_ns


@dataclass(frozen=True, kw_only=True)
class Race(Chance):
    """Answers come after ``predicted_ns``, not before."""

    def p_at(self, budget_ns):
        return self.p if budget_ns > self.predicted_ns else 0.0


def rung(p=0.9, *, quality=80, payload_bytes=20_000, **fields):
    return Rung(quality=quality, payload_bytes=payload_bytes, forecast=Chance(p=p, **fields))


def pair(p=0.9, *, at=(20, 59), reason="", forecast=None, payload_bytes=60_000, **fields):
    """What is known of a pair of cuts that w-2 proved, or did not for a reason."""
    return PairView(
        placement=Placement(start=at[0], end=at[1]),
        part=PartView(worker="w-2", reason=reason),
        forecast=None if reason else forecast or Chance(p=p),
        payload_bytes=0 if reason else payload_bytes,
        **fields,
    )


def view(p=0.9, *, now_ns=0, p_now=0.9, p_hedged=0.9, hedge_in_ns=60 * MS, **fields):
    local = LocalView(p_now=p_now, p_hedged=p_hedged, hedge_at_ns=now_ns + hedge_in_ns)
    known = {"worker": "w-1", "ready": True, "offloads": (rung(p),), "local": local, "chip": CHIP}
    return LinkView(now_ns=now_ns, deadline_ns=now_ns + BUDGET_NS, **{**known, **fields})
