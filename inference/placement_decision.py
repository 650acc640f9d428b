"""Pure core: choose a placement for the road as it is now, in microseconds.

All terms of a placement are taken to be slow together, so its latency quantile at a level is the sum of its
terms' quantiles at that level: a pessimistic reading that never promises more than was measured. What must
stay here: the order of the objective, chance of the deadline first, cost second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.placement import Conditions, PlacementInputs, Wish, level_weights
from inference.placement_families import Placements
from inference.placement_survivors import NS_BITS_PER_BYTE_S, never_beaten

Floats = npt.NDArray[np.float64]
_INSTANT_NS = 1e-3  # two levels that are equal: the deadline lies before or behind both


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``index`` into the placements that the chooser was made of. ``chance`` is that of the deadline."""

    index: int
    chance: float
    expected_ns: float
    cost_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All placements of a chooser judged at once: (L, K), (K,), (K,), (K,)."""

    quantiles_ns: Floats
    chance: Floats
    expected_ns: Floats
    cost_ns: Floats


def _prices(wish: Wish) -> tuple[float, float, float]:
    return wish.joule_ns, wish.price_ns, wish.loss_ns


def _kept(
    placements: Placements, inputs: PlacementInputs, prices: set[tuple[float, float, float]]
) -> npt.NDArray[np.int64]:
    if not prices:
        return never_beaten(placements)
    mean = level_weights(inputs.levels) @ placements.base_ns
    kept = [
        never_beaten(
            placements,
            cost_ns=mean + joule * placements.energy_j + price * placements.price + loss * placements.loss,
        )
        for joule, price, loss in sorted(prices)
    ]
    return np.unique(np.concatenate(kept))


class Chooser:
    """Holds the placements that may ever win and judges them against the conditions of a moment.

    Whatever depends on the road is linear in a few features of a placement (bits up, bits down, queues that it
    waits for), so one small product of matrices brings all quantiles of all placements up to date.
    """

    def __init__(
        self, placements: Placements, *, inputs: PlacementInputs, wishes: Sequence[Wish] = ()
    ) -> None:
        """Keep what may win; with ``wishes``, for their prices of a joule, of money and of loss alone."""
        self._prices = {_prices(wish) for wish in wishes}
        self.kept = _kept(placements, inputs, self._prices)
        rows = placements.take(self.kept)
        far = int(rows.group.max(initial=0)) > 1
        waiting = [rows.group == group for group in range(1, 4 if far else 2)]
        bits = [rows.up_bytes * NS_BITS_PER_BYTE_S, rows.down_bytes * NS_BITS_PER_BYTE_S]
        self._far = far
        self._features = np.ascontiguousarray(np.vstack([*bits, *waiting]), dtype=np.float64)  # (F, K)
        self._bits = np.ascontiguousarray(self._features[:2])
        self._base = np.ascontiguousarray(rows.base_ns)
        self._weights = level_weights(inputs.levels)
        self._mean_base = self._weights @ self._base
        self._shares = np.diff(inputs.levels, prepend=0.0)
        self._radio_w = inputs.rates.radio_w
        self._energy, self._price, self._loss = rows.energy_j, rows.price, rows.loss

    def decide(self, conditions: Conditions, wish: Wish) -> Decision:
        """The best placement now.

        Raises:
            PlacementError: every placement loses more accuracy than ``loss_limit`` allows, or the chooser was
                made for other prices.
        """
        if self._prices and _prices(wish) not in self._prices:
            raise PlacementError("this chooser was made for other prices: name this wish when making it")
        outlook = self.outlook(conditions, wish)
        chance, cost = outlook.chance, outlook.cost_ns
        best = float(chance.max())
        if best < 0:
            raise PlacementError(f"no placement stays within the loss limit {wish.loss_limit}: raise it")
        at = int(np.where(chance >= best - wish.slack, cost, np.inf).argmin())
        return Decision(
            index=int(self.kept[at]),
            chance=float(chance[at]),
            expected_ns=float(outlook.expected_ns[at]),
            cost_ns=float(cost[at]),
        )

    def outlook(self, conditions: Conditions, wish: Wish) -> Outlook:
        """Every kept placement under these conditions; ``kept`` maps columns to placements."""
        weights = np.array(self._road(conditions))  # (L, F)
        mean = self._weights @ weights  # (F,)
        quantiles = weights @ self._features
        quantiles += self._base
        chance = self._chance(quantiles, wish.deadline_ns)
        expected = mean @ self._features
        expected += self._mean_base
        cost = expected
        if wish.joule_ns:
            airtime_j = (mean[:2] @ self._bits) * (self._radio_w * 1e-9)
            cost = cost + wish.joule_ns * (self._energy + airtime_j)
        if wish.price_ns:
            cost = cost + wish.price_ns * self._price
        if wish.loss_ns:
            cost = cost + wish.loss_ns * self._loss
        if wish.loss_limit != float("inf"):
            chance = np.where(self._loss <= wish.loss_limit, chance, -1.0)
        return Outlook(quantiles_ns=quantiles, chance=chance, expected_ns=expected, cost_ns=cost)

    def _road(self, conditions: Conditions) -> list[list[float]]:
        """A row a level: ns per bit up and down, then what each group waits for."""
        near = zip(
            conditions.uplink_bps,
            conditions.downlink_bps,
            conditions.rtt_ns,
            conditions.queue_ns,
            strict=True,
        )
        if not self._far:
            return [[1.0 / up, 1.0 / down, rtt + queue] for up, down, rtt, queue in near]
        beyond = zip(conditions.cloud_rtt_ns, conditions.cloud_queue_ns, strict=True)
        return [
            [1.0 / up, 1.0 / down, rtt + queue, rtt + queue + way + line, rtt + way + line]
            for (up, down, rtt, queue), (way, line) in zip(near, beyond, strict=True)
        ]

    def _chance(self, quantiles: Floats, deadline_ns: float) -> Floats:
        """P(T <= deadline): straight between the levels, from 0 at no time; never above the last level."""
        steps = quantiles.copy()
        steps[1:] -= quantiles[:-1]
        left = deadline_ns - quantiles
        left += steps  # how far the deadline lies behind the level before
        np.maximum(steps, _INSTANT_NS, out=steps)
        left /= steps
        np.minimum(left, 1.0, out=left)
        np.maximum(left, 0.0, out=left)
        return np.asarray(self._shares @ left)
