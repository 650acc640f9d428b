"""Pure core: says in words and numbers what was chosen, what it consists of, and why nothing else was.

What must stay here: every figure comes from the placements and the conditions it was judged under.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.placement.decision import Chooser, Outlook, judge
from inference.placement.families import CLOUD, LOCAL, TERMS, WORKER, Family, Placements
from inference.placement.inputs import Conditions, PlacementInputs, Rates, Wish
from inference.placement.survivors import NS_BITS_PER_BYTE_S, Survivors, survivors

RUNNERS_UP = 5
MOST_PAIRS = 4  # of cuts in one split config
_MS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A decision with all it was made from; ``placements`` are those of ``family``."""

    inputs: PlacementInputs
    placements: Placements
    conditions: Conditions
    wish: Wish
    family: Family = "u-shape"

    def explained(self) -> dict[str, Any]:
        """The chosen placement with its terms, the runners-up with why not, and the survivors with switch points.

        Runners-up may win on other roads; the headset alone and the whole model far away are told of in any case.
        """
        chooser = Chooser(self.placements, inputs=self.inputs, wishes=(self.wish,))
        decision = chooser.decide(self.conditions, self.wish)
        told = np.union1d(chooser.kept(self.wish), self._plain())
        outlook = judge(self.placements, told, inputs=self.inputs, conditions=self.conditions, wish=self.wish)
        chosen = int(np.searchsorted(told, decision.index))
        found = self.survivors()
        behind = outlook.chance.max() - outlook.chance
        order = np.lexsort((outlook.cost_ns, np.where(behind <= self.wish.slack, 0.0, behind))).tolist()
        ranked = [at for at in order if at != chosen]
        plain = set(self._plain().tolist())
        others = ranked[:RUNNERS_UP] + [at for at in ranked[RUNNERS_UP:] if int(told[at]) in plain]
        return {
            "chosen": self._view(outlook, chosen) | {"terms_ms": self._terms(decision.index)},
            "runners_up": [
                self._view(outlook, at) | {"why_not": self._why_not(outlook, at, chosen)} for at in others
            ],
            "survivors": self._reigns(found),
            "split_config": self._named((decision.index, *found.indices)),
            "candidates": len(self.placements),
        }

    def survivors(self) -> Survivors:
        """The envelope at the first level's queues, with the downlink in the same ratio to every uplink."""
        road = self.conditions
        allowed = np.flatnonzero(self.placements.loss <= self.wish.loss_limit)
        rows = self.placements.take(allowed)
        beyond = sum((*road.cloud_rtt_ns[:1], *road.cloud_queue_ns[:1]))
        fixed = rows.base_ns[0] + np.array([road.rtt_ns[0], road.queue_ns[0], beyond]) @ rows.waits
        found = survivors(rows, fixed_ns=fixed, down_ratio=road.downlink_bps[0] / road.uplink_bps[0])
        return replace(found, indices=tuple(allowed[list(found.indices)].tolist()))

    def name(self, index: int) -> str:
        """A short id: variant, where parts begin and end, coding or picture."""
        rows = self.placements
        variant = self.inputs.variants[int(rows.variant[index])]
        if rows.group[index] == LOCAL:
            return f"{variant.name}:local"
        way = self.inputs.codings[int(rows.coding[index])].name
        quality = int(rows.quality[index])
        sent = f"{variant.qualities[quality].name}+{way}" if quality >= 0 else way
        last = f"-{variant.transfer.positions[-1]}" if self.family == "three-tier" else ""
        return f"{variant.name}:{rows.start[index]}-{rows.end[index]}{last}:{sent}"

    def words(self, index: int) -> str:
        """The placement as a sentence."""
        rows = self.placements
        start, end, group = int(rows.start[index]), int(rows.end[index]), int(rows.group[index])
        last = self.inputs.variants[int(rows.variant[index])].transfer.positions[-1]
        if group == LOCAL:
            return f"the headset runs all {last} operators"
        head = f"the headset runs operators 0 to {start - 1} and sends" if start else "the headset sends"
        what = "" if start else " of input"
        back = f"returns {rows.down_bytes[index]:.0f} B"
        middle = f"the worker runs {_operators(start, end, last)}"
        if group == WORKER:
            far = f"{middle} and {back}"
        elif group == CLOUD:
            far = f"the worker passes it on, the cloud runs {_operators(start, last, last)} and {back}"
        else:
            far = f"{middle}, the cloud runs {_operators(end, last, last)} and {back}"
        finishes = group == WORKER and end < last
        tail = f", the headset finishes with {end} to {last - 1}" if finishes else ""
        return f"{head} {rows.up_bytes[index]:.0f} B{what}, {far}{tail}"

    def _plain(self) -> npt.NDArray[np.int64]:
        """What everybody would try: all on the headset, all on one machine far away."""
        rows = self.placements
        lasts = np.array([variant.transfer.positions[-1] for variant in self.inputs.variants])
        last = lasts[rows.variant]
        whole = (rows.start == 0) & np.where(rows.group == CLOUD, rows.end == 0, rows.end == last)
        plain = ((rows.group == LOCAL) | whole) & (rows.loss <= self.wish.loss_limit)
        return np.flatnonzero(plain)

    def _view(self, outlook: Outlook, at: int) -> dict[str, Any]:
        rows, index = self.placements, int(outlook.indices[at])
        view = {
            "id": self.name(index),
            "words": self.words(index),
            "start": int(rows.start[index]),
            "end": int(rows.end[index]),
            "up_bytes": round(float(rows.up_bytes[index])),
            "down_bytes": round(float(rows.down_bytes[index])),
            "chance": round(float(outlook.chance[at]), 4),
            "expected_ms": _ms(outlook.expected_ns[at]),
            "quantiles_ms": {
                f"p{100 * level:g}": _ms(value)
                for level, value in zip(self.inputs.levels, outlook.quantiles_ns[:, at], strict=True)
            },
        }
        if self.inputs.rates != Rates():
            view |= {
                "energy_mj": round(1e3 * float(outlook.energy_j[at]), 4),
                "price": float(rows.price[index]),
            }
        return view

    def _terms(self, index: int) -> dict[str, float]:
        """What the first level's latency is made of, in the order in which it happens."""
        rows, road, group = self.placements, self.conditions, int(self.placements.group[index])
        terms = dict(zip(TERMS, rows.terms_ns[0, :, index].tolist(), strict=True))
        near = group not in {LOCAL, CLOUD}
        order = {
            "head": terms["head"],
            "encode": terms["encode"],
            "up": float(rows.up_bytes[index]) * NS_BITS_PER_BYTE_S / road.uplink_bps[0],
            "rtt": road.rtt_ns[0] if group != LOCAL else 0.0,
            "queue": road.queue_ns[0] if near else 0.0,
            "decode": terms["decode"],
            "worker": terms["worker"],
        }
        if self.family == "three-tier":
            beyond = group not in {LOCAL, WORKER}
            order["backhaul"] = terms["backhaul"]
            order["cloud_rtt"] = road.cloud_rtt_ns[0] if beyond else 0.0
            order["cloud_queue"] = road.cloud_queue_ns[0] if beyond else 0.0
            order["cloud"] = terms["cloud"]
        order["reply"] = terms["reply"]
        order["down"] = float(rows.down_bytes[index]) * NS_BITS_PER_BYTE_S / road.downlink_bps[0]
        order["tail"] = terms["tail"]
        return {name: _ms(value) for name, value in order.items()}

    def _why_not(self, outlook: Outlook, column: int, chosen: int) -> str:
        chance, best = float(outlook.chance[column]), float(outlook.chance.max())
        if chance < best - self.wish.slack:
            return f"in time with probability {chance:.3f}, the best one with {best:.3f}"
        slower = (outlook.expected_ns[column] - outlook.expected_ns[chosen]) * _MS
        if slower > 0:
            return f"expected {slower:.3f} ms later"
        return "faster, but it costs more energy, price or accuracy than that is worth"

    def _named(self, indices: Iterable[int]) -> dict[str, Any]:
        """The first model's pairs of cuts among these as a split config names them, ``MOST_PAIRS`` at most.

        Left out is what needs none: all here, all at the worker, a picture; and what has a part in the cloud.
        """
        rows, last = self.placements, self.inputs.variants[0].transfer.positions[-1]
        pairs: dict[tuple[int, int], dict[str, Any]] = {}
        for index in indices:
            pair = int(rows.start[index]), int(rows.end[index])
            is_cut = rows.group[index] == WORKER and rows.variant[index] == 0 and rows.quality[index] < 0
            if not is_cut or pair == (0, last):
                continue
            packed = self.inputs.codings[int(rows.coding[index])].name == "packed"
            named = {"head_end": pair[0], "tail_start": pair[1]} | ({"packed": True} if packed else {})
            pairs.setdefault(pair, named)
        if not pairs:
            return {}
        first, *others = [*pairs.values()][:MOST_PAIRS]
        return {"placement": first} | ({"placements": others} if others else {})

    def _reigns(self, found: Survivors) -> list[dict[str, Any]]:
        edges = [0.0, *found.switch_bps, float("inf")]
        return [
            {
                "id": self.name(index),
                "words": self.words(index),
                "from_mbps": round(low / 1e6, 3),
                "to_mbps": None if high == float("inf") else round(high / 1e6, 3),
            }
            for index, low, high in zip(found.indices, edges[:-1], edges[1:], strict=True)
        ]


def _operators(start: int, end: int, last: int) -> str:
    return f"all {last}" if end - start == last else f"{start} to {end - 1}"


def _ms(value_ns: float) -> float:
    return round(float(value_ns) * _MS, 4)
