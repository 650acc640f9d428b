"""Pure core: choose a placement for the road as it is now, in microseconds.

All terms of a placement are taken to be slow together, so its latency quantile at a level is the sum of its
terms' quantiles at that level: a pessimistic reading that never promises more than was measured. Everything
but the road is summed when a ``Chooser`` is made; a decision is then one small product of matrices, and a
placement has a chance exactly when its quantile at that chance lies within the deadline. What must stay
here: the order of the objective, chance of the deadline first, cost second.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add, mul

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.placement import Conditions, PlacementInputs, Wish, level_weights
from inference.placement_families import Placements
from inference.placement_survivors import NS_BITS_PER_BYTE_S, never_beaten

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_FEATURES = 5  # of a road that reaches the cloud
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
    """Placements whose times and cost are linear in the road: ``fixed + road @ slopes``.

    ``fixed`` (L + 2, K): the time at each level, the time at ``enough``, the cost. ``slopes`` (F, K): bits up,
    bits down, then what is waited for. ``enough`` is where a chance is within the slack of the best one there
    is, and lies at ``share`` between the levels ``upper - 1`` and ``upper``. ``air_weight`` is the cost of a
    nanosecond in the air.
    """

    indices: Integers
    fixed: Floats
    slopes: Floats
    upper: int
    share: float
    air_weight: float


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
        judged = _judged(lines, conditions, self._weights)
        if judged[-3].min() <= deadline_ns:
            in_time = judged[-2] <= deadline_ns * _ROUNDING
        else:
            in_time = _as_good_as_the_best(judged[:-2], self._levels, wish)
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
            raise PlacementError("this chooser was made for other prices: name this wish when making it")
        return lines


def judge(
    placements: Placements, indices: Integers, *, inputs: PlacementInputs, conditions: Conditions, wish: Wish
) -> Outlook:
    """Those placements under these conditions, with all figures; for explanations, not for every frame."""
    lines = _lines(placements, indices, inputs=inputs, wish=wish)
    weights = level_weights(inputs.levels)
    judged = _judged(lines, conditions, tuple(weights.tolist()))
    times = judged[:-2]
    chances = [_chance(column, inputs.levels, wish.deadline_ns) for column in times.T.tolist()]
    air_ns = weights @ np.array(_road(conditions, cloud=False))[:, :2] @ lines.slopes[:2]
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


def _lines(placements: Placements, indices: Integers, *, inputs: PlacementInputs, wish: Wish) -> _Lines:
    rows = placements.take(indices)
    base_ns, waits = rows.base_ns, rows.waits if placements.waits[-1].any() else rows.waits[:-1]
    upper, share = _place(inputs.levels, max(0.0, inputs.levels[-1] - wish.slack))
    enough_ns = _between(base_ns, upper, share)
    return _Lines(
        indices=indices,
        fixed=np.vstack([base_ns, enough_ns, _fixed_cost(rows, base_ns, inputs, wish)]),
        slopes=np.vstack([rows.up_bytes * NS_BITS_PER_BYTE_S, rows.down_bytes * NS_BITS_PER_BYTE_S, waits]),
        upper=upper,
        share=share,
        air_weight=1 + wish.joule_ns * inputs.rates.radio_w * 1e-9,
    )


def _judged(lines: _Lines, conditions: Conditions, weights: tuple[float, ...]) -> Floats:
    """(L + 2, K): the time of each placement at each level and at ``enough``, then its cost."""
    if len(conditions.rtt_ns) != len(weights):
        raise PlacementError(f"conditions need {len(weights)} levels, as durations have: {conditions}")
    road = _road(conditions, cloud=len(lines.slopes) == _FEATURES)
    mean = [sum(map(mul, weights, column)) for column in zip(*road, strict=True)]
    mean[0] *= lines.air_weight
    mean[1] *= lines.air_weight
    upper, share = road[lines.upper], lines.share
    if lines.upper:
        enough = [a + share * (b - a) for a, b in zip(road[lines.upper - 1], upper, strict=True)]
    else:
        enough = [share * value for value in upper]
    judged: Floats = np.dot(np.array([*road, enough, mean]), lines.slopes)
    judged += lines.fixed
    return judged


def _road(conditions: Conditions, *, cloud: bool) -> list[tuple[float, ...]]:
    """A row a level: ns per bit up and down, the way to the worker, its queue, all that the cloud adds."""
    near = zip(
        conditions.uplink_bps, conditions.downlink_bps, conditions.rtt_ns, conditions.queue_ns, strict=True
    )
    if not cloud:
        return [(1.0 / up, 1.0 / down, way, queue) for up, down, way, queue in near]
    if not conditions.cloud_rtt_ns:
        raise PlacementError("conditions of the cloud are missing: give cloud_rtt_ns and cloud_queue_ns")
    beyond = map(add, conditions.cloud_rtt_ns, conditions.cloud_queue_ns)
    return [
        (1.0 / up, 1.0 / down, way, queue, far)
        for (up, down, way, queue), far in zip(near, beyond, strict=True)
    ]


def _as_good_as_the_best(times: Floats, levels: tuple[float, ...], wish: Wish) -> npt.NDArray[np.bool_]:
    """Columns (K,) whose chance is within the slack of the best, where none ends in time at the last level."""
    deadline_ns = wish.deadline_ns
    reached = bisect_right(times.min(axis=1).tolist(), deadline_ns)
    earlier, low = (times[reached - 1], levels[reached - 1]) if reached else (0.0, 0.0)
    share = (deadline_ns - earlier) / np.maximum(times[reached] - earlier, _LEAST_STEP_NS)
    enough = low + (levels[reached] - low) * float(share.max()) - wish.slack
    if enough <= 0:
        return np.ones(times.shape[1], dtype=bool)
    return _between(times, *_place(levels, enough)) <= deadline_ns * _ROUNDING


def _place(levels: tuple[float, ...], chance: float) -> tuple[int, float]:
    """The level that a chance lies below, and its share of the way there from the level before, or from 0."""
    upper = bisect_left(levels, chance)
    low = levels[upper - 1] if upper else 0.0
    return upper, (chance - low) / (levels[upper] - low)


def _between(times: Floats, upper: int, share: float) -> Floats:
    """The time (K,) at a place between two levels: straight between them."""
    if not upper:
        return np.asarray(times[0] * share)
    return np.asarray(times[upper - 1] + share * (times[upper] - times[upper - 1]))


def _chance(times: Sequence[float], levels: tuple[float, ...], deadline_ns: float) -> float:
    """P(T <= deadline) by the same straight pieces; never above the last level."""
    earlier, low = 0.0, 0.0
    for level, time in zip(levels, times, strict=True):
        if deadline_ns < time:
            return max(0.0, low + (level - low) * (deadline_ns - earlier) / (time - earlier))
        earlier, low = time, level
    return low
