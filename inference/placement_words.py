"""Pure core: says in words and numbers what was chosen, what it consists of, and why nothing else was.

What must stay here: every figure comes from the placements and the conditions it was judged under.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.placement import Conditions, PlacementInputs, Wish
from inference.placement_decision import Chooser, Outlook
from inference.placement_families import LOCAL, TERMS, WORKER, Placements
from inference.placement_survivors import NS_BITS_PER_BYTE_S, Survivors, survivors

RUNNERS_UP = 5
_MS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A U-shape decision with all it was made from."""

    inputs: PlacementInputs
    placements: Placements
    conditions: Conditions
    wish: Wish

    def explained(self) -> dict[str, Any]:
        """The chosen placement with its terms, the runners-up with why not, and the survivors with switch points."""
        chooser = Chooser(self.placements, inputs=self.inputs, wishes=(self.wish,))
        decision = chooser.decide(self.conditions, self.wish)
        outlook = chooser.outlook(self.conditions, self.wish)
        column = {int(index): at for at, index in enumerate(chooser.kept)}
        chosen = column[decision.index]
        order = np.lexsort((outlook.cost_ns, outlook.chance < outlook.chance.max() - self.wish.slack))
        others = [int(at) for at in order if at != chosen and outlook.chance[at] >= 0][:RUNNERS_UP]
        found = self.survivors()
        return {
            "chosen": self._view(decision.index, outlook, chosen) | {"terms_ms": self._terms(decision.index)},
            "runners_up": [
                self._view(int(chooser.kept[at]), outlook, at)
                | {"why_not": self._why_not(outlook, at, chosen)}
                for at in others
            ],
            "survivors": self._reigns(found),
            "candidates": len(self.placements),
        }

    def survivors(self) -> Survivors:
        """The envelope at the first level's queues, with the downlink in the same ratio to every uplink."""
        road = self.conditions
        wait = np.where(self.placements.group == LOCAL, 0.0, road.rtt_ns[0] + road.queue_ns[0])
        ratio = road.downlink_bps[0] / road.uplink_bps[0]
        return survivors(self.placements, fixed_ns=self.placements.base_ns[0] + wait, down_ratio=ratio)

    def name(self, index: int) -> str:
        """A short id: variant, range of the worker, coding or picture."""
        rows = self.placements
        variant = self.inputs.variants[int(rows.variant[index])]
        if rows.group[index] == LOCAL:
            return f"{variant.name}:local"
        way = self.inputs.codings[int(rows.coding[index])].name
        quality = int(rows.quality[index])
        sent = f"{variant.qualities[quality].name}+{way}" if quality >= 0 else way
        return f"{variant.name}:{rows.start[index]}-{rows.end[index]}:{sent}"

    def words(self, index: int) -> str:
        """The placement as a sentence."""
        rows = self.placements
        start, end = int(rows.start[index]), int(rows.end[index])
        last = self.inputs.variants[int(rows.variant[index])].transfer.positions[-1]
        if rows.group[index] == LOCAL:
            return f"the headset runs all {last} operators"
        assert rows.group[index] == WORKER
        head = f"the headset runs operators 0 to {start - 1} and sends" if start else "the headset sends"
        what = " of input" if not start else ""
        tail = f", the headset finishes with {end} to {last - 1}" if end < last else ""
        middle = f"the worker runs {'all ' + str(last) if end - start == last else f'{start} to {end - 1}'}"
        return f"{head} {rows.up_bytes[index]:.0f} B{what}, {middle} and returns {rows.down_bytes[index]:.0f} B{tail}"

    def _view(self, index: int, outlook: Outlook, column: int) -> dict[str, Any]:
        rows = self.placements
        return {
            "id": self.name(index),
            "words": self.words(index),
            "start": int(rows.start[index]),
            "end": int(rows.end[index]),
            "up_bytes": round(float(rows.up_bytes[index])),
            "down_bytes": round(float(rows.down_bytes[index])),
            "chance": round(float(outlook.chance[column]), 4),
            "expected_ms": _ms(outlook.expected_ns[column]),
            "quantiles_ms": {
                f"p{100 * level:g}": _ms(value)
                for level, value in zip(self.inputs.levels, outlook.quantiles_ns[:, column], strict=True)
            },
        }

    def _terms(self, index: int) -> dict[str, float]:
        """What the first level's latency is made of, in the order in which it happens."""
        rows, road = self.placements, self.conditions
        terms = dict(zip(TERMS, rows.terms_ns[0, :, index].tolist(), strict=True))
        far = rows.group[index] != LOCAL
        up = float(rows.up_bytes[index]) * NS_BITS_PER_BYTE_S / road.uplink_bps[0]
        down = float(rows.down_bytes[index]) * NS_BITS_PER_BYTE_S / road.downlink_bps[0]
        order = {
            "head": terms["head"],
            "encode": terms["encode"],
            "up": up,
            "rtt": road.rtt_ns[0] if far else 0.0,
            "queue": road.queue_ns[0] if far else 0.0,
            "decode": terms["decode"],
            "worker": terms["worker"],
            "reply": terms["reply"],
            "down": down,
            "tail": terms["tail"],
        }
        return {name: _ms(value) for name, value in order.items()}

    def _why_not(self, outlook: Outlook, column: int, chosen: int) -> str:
        chance, best = float(outlook.chance[column]), float(outlook.chance.max())
        if chance < best - self.wish.slack:
            return f"in time with probability {chance:.3f}, the best one with {best:.3f}"
        slower = (outlook.expected_ns[column] - outlook.expected_ns[chosen]) * _MS
        if slower > 0:
            return f"expected {slower:.3f} ms later"
        return "faster, but it costs more energy, price or accuracy than that is worth"

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


def _ms(value_ns: float) -> float:
    return round(float(value_ns) * _MS, 4)
