"""Pure core: choose a placement for the road as it is now, in microseconds.

All terms of a placement are taken to be slow together, so its latency quantile at a level is the sum of its
terms' quantiles at that level: a pessimistic reading that never promises more than was measured. Everything
but the road is summed when a ``Chooser`` is made; a decision is then one small product, and a
placement has a chance exactly when its quantile at that chance lies within the deadline. What must stay
here: the order of the objective, chance of the deadline first, cost second.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.placement.families import Placements
from inference.placement.inputs import Conditions, PlacementInputs, Wish, level_weights
from inference.placement.survivors import NS_BITS_PER_BYTE_S, never_beaten

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_LEAST_STEP_NS = 1e-3  # between the quantiles of two levels that are equal
_ROUNDING = 1 + 1e-12  # so that the last bit of a sum never excludes the best placement itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``index`` into the placements that the chooser was made of. ``chance`` is that of the deadline."""

    index: int
    chance: float
    expected_ns: float
    cost_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Placements judged at once: ``quantiles_ns`` (L, K), all else (K,). ``energy_j`` includes the radio."""

    indices: Integers
    quantiles_ns: Floats
    chance: Floats
    expected_ns: Floats
    cost_ns: Floats
    energy_j: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """Placements whose times and cost are linear in the road, so that one product brings all up to date.

    ``road @ coefficients`` is, for each placement, the time at each level, the time at the chance that is
    within the slack of the best one there is, and the cost: (L + 2) * K numbers.
    """

    indices: Integers
    coefficients: Floats
    cloud: bool


class Chooser:
    """Holds the placements that may ever win a wish and chooses among them for the conditions of a moment."""

    def __init__(self, placements: Placements, *, inputs: PlacementInputs, wishes: Sequence[Wish]) -> None:
        """Prepare for these wishes, at any deadline.

        Raises:
            PlacementError: no wish, or one whose loss limit no placement stays within.
        """
        if not wishes:
            raise PlacementError("a chooser needs to know what will be wished for: give at least one wish")
        self._levels = inputs.levels
        self._weights = tuple(level_weights(inputs.levels).tolist())
        self._lines: dict[tuple[float, ...], _Lines] = {}
        for wish in wishes:
            if _settled(wish) not in self._lines:
                kept = _candidates(placements, inputs, wish)
                self._lines[_settled(wish)] = _lines(placements, kept, inputs=inputs, wish=wish)

    def kept(self, wish: Wish) -> Integers:
        """Indices of the placements that may win this wish.

        Raises:
            PlacementError: the chooser was not made for this wish.
        """
        return self._of(wish).indices

    def decide(self, conditions: Conditions, wish: Wish) -> Decision:
        """The best placement now.

        Raises:
            PlacementError: the chooser was made for other wishes or levels.
        """
        lines, deadline_ns = self._of(wish), wish.deadline_ns
        judged = _judged(lines, conditions, levels=len(self._levels))
        reached = bisect_right(judged[:-2].min(axis=1).tolist(), deadline_ns)
        if reached == len(self._levels):
            in_time = judged[-2] <= deadline_ns * _ROUNDING
        else:
            in_time = _as_good_as_the_best(judged[:-2], self._levels, wish, reached=reached)
        at = int(np.where(in_time, judged[-1], np.inf).argmin())
        *times, _, cost = judged[:, at].tolist()
        return Decision(
            index=int(lines.indices[at]),
            chance=_chance(times, self._levels, deadline_ns),
            expected_ns=sum(map(mul, self._weights, times)),
            cost_ns=cost,
        )

    def _of(self, wish: Wish) -> _Lines:
        lines = self._lines.get(_settled(wish))
        if lines is None:
            raise PlacementError(
                "this chooser was made for other prices or limits: name this wish when making it"
            )
        return lines


def judge(
    placements: Placements, indices: Integers, *, inputs: PlacementInputs, conditions: Conditions, wish: Wish
) -> Outlook:
    """Those placements under these conditions, with all figures; for explanations, not for every frame."""
    lines = _lines(placements, indices, inputs=inputs, wish=wish)
    judged = _judged(lines, conditions, levels=len(inputs.levels))
    times, weights = judged[:-2], level_weights(inputs.levels)
    chances = [_chance(column, inputs.levels, wish.deadline_ns) for column in times.T.tolist()]
    rates = 1 / np.array([conditions.uplink_bps, conditions.downlink_bps])  # (2, L)
    air_ns = weights @ rates.T @ _bits(placements.take(indices))
    return Outlook(
        indices=indices,
        quantiles_ns=times,
        chance=np.array(chances),
        expected_ns=weights @ times,
        cost_ns=judged[-1],
        energy_j=placements.energy_j[indices] + inputs.rates.radio_w * 1e-9 * air_ns,
    )


def _settled(wish: Wish) -> tuple[float, ...]:
    """What of a wish a chooser is made for: all but the deadline."""
    return wish.joule_ns, wish.price_ns, wish.loss_ns, wish.loss_limit, wish.slack


def _candidates(placements: Placements, inputs: PlacementInputs, wish: Wish) -> Integers:
    allowed = np.flatnonzero(placements.loss <= wish.loss_limit)
    if not len(allowed):
        raise PlacementError(f"no placement stays within the loss limit {wish.loss_limit}: raise it")
    rows = placements.take(allowed)
    return np.asarray(allowed[never_beaten(rows, cost_ns=_fixed_cost(rows, rows.base_ns, inputs, wish))])


def _fixed_cost(rows: Placements, base_ns: Floats, inputs: PlacementInputs, wish: Wish) -> Floats:
    priced = wish.joule_ns * rows.energy_j + wish.price_ns * rows.price + wish.loss_ns * rows.loss
    return np.asarray(level_weights(inputs.levels) @ base_ns + priced)


def _bits(rows: Placements) -> Floats:
    """(2, K): what travels up and down, in units that give nanoseconds when divided by bits per second."""
    return np.array([rows.up_bytes, rows.down_bytes]) * NS_BITS_PER_BYTE_S


def _lines(placements: Placements, indices: Integers, *, inputs: PlacementInputs, wish: Wish) -> _Lines:
    rows = placements.take(indices)
    base_ns, bits, (way, queue, beyond) = rows.base_ns, _bits(rows), rows.waits
    cloud = bool(beyond.any())
    slopes = np.array(
        [*bits, way, queue, *([beyond, beyond] if cloud else [])]
    )  # (F, K), in the order of _road
    levels = len(inputs.levels)
    # (L + 2, L): what of each level of the road goes into each result
    spread = np.zeros((levels + 2, levels))
    spread[:levels] = np.eye(levels)
    spread[levels] = _between(
        np.eye(levels), *_place(inputs.levels, max(0.0, inputs.levels[-1] - wish.slack))
    )
    spread[-1] = level_weights(inputs.levels)
    weight = np.ones((levels + 2, len(slopes)))
    weight[-1, :2] += wish.joule_ns * inputs.rates.radio_w * 1e-9  # a nanosecond in the air costs energy too
    moving = np.einsum("rl,rf,fk->flrk", spread, weight, slopes).reshape(len(slopes) * levels, -1)
    fixed = np.vstack([spread[:-1] @ base_ns, _fixed_cost(rows, base_ns, inputs, wish)])
    return _Lines(indices=indices, coefficients=np.vstack([moving, fixed.reshape(1, -1)]), cloud=cloud)


def _judged(lines: _Lines, conditions: Conditions, *, levels: int) -> Floats:
    """(L + 2, K): the results that ``_Lines`` speaks of."""
    if len(conditions.rtt_ns) != levels:
        raise PlacementError(f"conditions need {levels} levels, as durations have: {conditions}")
    road = np.array(_road(conditions, cloud=lines.cloud))
    judged: Floats = np.dot(road, lines.coefficients)
    return judged.reshape(levels + 2, -1)


def _road(conditions: Conditions, *, cloud: bool) -> list[float]:
    """Feature by feature, each level by level, then 1 for what does not depend on the road."""
    up, down = [1.0 / bps for bps in conditions.uplink_bps], [1.0 / bps for bps in conditions.downlink_bps]
    if not cloud:
        return [*up, *down, *conditions.rtt_ns, *conditions.queue_ns, 1.0]
    if not conditions.cloud_rtt_ns:
        raise PlacementError("conditions of the cloud are missing: give cloud_rtt_ns and cloud_queue_ns")
    beyond = (*conditions.cloud_rtt_ns, *conditions.cloud_queue_ns)
    return [*up, *down, *conditions.rtt_ns, *conditions.queue_ns, *beyond, 1.0]


def _as_good_as_the_best(
    times: Floats, levels: tuple[float, ...], wish: Wish, *, reached: int
) -> npt.NDArray[np.bool_]:
    """Columns (K,) whose chance is within the slack of the best, where ``reached`` is the first level missed by all."""
    deadline_ns = wish.deadline_ns
    earlier, low = (times[reached - 1], levels[reached - 1]) if reached else (0.0, 0.0)
    step = levels[reached] - low
    share = (deadline_ns - earlier) / np.maximum(times[reached] - earlier, _LEAST_STEP_NS)
    enough = float(share.max()) - wish.slack / step
    if enough >= 0:
        return np.asarray(share >= enough)
    chance = low + step * enough
    if chance <= 0:
        return np.ones(times.shape[1], dtype=bool)
    return _between(times, *_place(levels, chance)) <= deadline_ns * _ROUNDING


def _place(levels: tuple[float, ...], chance: float) -> tuple[int, float]:
    """The level that a chance lies below, and its share of the way there from the level before, or from 0."""
    upper = bisect_left(levels, chance)
    low = levels[upper - 1] if upper else 0.0
    return upper, (chance - low) / (levels[upper] - low)


def _between(rows: Floats, upper: int, share: float) -> Floats:
    """What (K,) lies at a place between two levels: straight between their rows."""
    if not upper:
        return np.asarray(rows[0] * share)
    return np.asarray(rows[upper - 1] * (1.0 - share) + rows[upper] * share)


def _chance(times: Sequence[float], levels: tuple[float, ...], deadline_ns: float) -> float:
    """P(T <= deadline) by the same straight pieces; never above the last level."""
    earlier, low = 0.0, 0.0
    for level, time in zip(levels, times, strict=True):
        if deadline_ns < time:
            return max(0.0, low + (level - low) * (deadline_ns - earlier) / (time - earlier))
        earlier, low = time, level
    return low
