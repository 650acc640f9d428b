"""Pure core: which placements can ever be best, and which one is at a given uplink.

At fixed queues a placement costs a + d/B: a line in 1/B. The lower envelope of all lines is computed once
(Eisner and Severance); ``Survivors.best`` bisects it. ``never_beaten`` keeps what may win under any road,
queue and quantile. What must stay here: no survivor is dropped for speed.

Uplink and downlink: with ``down_ratio`` r the downlink is r times the uplink, and d = up + down / r. Without,
the downlink is a fixed rate, its time is part of a, and d = up.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.placement.families import Placements

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NS_BITS_PER_BYTE_S = 8e9  # bytes / (bits/s) in nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors:
    """The envelope from slow to fast uplinks.

    ``indices[k]`` is best between ``switch_bps[k - 1]`` and ``switch_bps[k]``. ``fixed_ns`` and ``road_bytes``
    are a and d of the survivors; the bytes never fall from one survivor to the next.
    """

    indices: tuple[int, ...]
    switch_bps: tuple[float, ...]
    fixed_ns: tuple[float, ...]
    road_bytes: tuple[float, ...]

    def best(self, uplink_bps: float) -> int:
        """Index of the best placement at this rate; at a switch point the one with fewer bytes."""
        return self.indices[bisect_left(self.switch_bps, uplink_bps)]

    def latency_ns(self, uplink_bps: float) -> float:
        """Its cost at this rate: latency, plus whatever weighs into the lines."""
        at = bisect_left(self.switch_bps, uplink_bps)
        return self.fixed_ns[at] + self.road_bytes[at] * NS_BITS_PER_BYTE_S / uplink_bps


def survivors(
    placements: Placements,
    *,
    fixed_ns: Floats,
    down_ratio: float | None = None,
    downlink_bps: float | None = None,
) -> Survivors:
    """The lower envelope over 1/B of lines ``fixed_ns`` (K,) + d/B; say how fast the downlink is.

    Raises:
        PlacementError: not exactly one of ``down_ratio`` and ``downlink_bps`` is given, or it is not above 0.
    """
    rates = [value for value in (down_ratio, downlink_bps) if value is not None]
    if len(rates) != 1 or rates[0] <= 0:
        raise PlacementError("give either down_ratio or downlink_bps, above 0")
    down = placements.down_bytes
    if down_ratio is not None:
        return envelope(fixed_ns, placements.up_bytes + down / down_ratio)
    return envelope(fixed_ns + down * NS_BITS_PER_BYTE_S / rates[0], placements.up_bytes)


def envelope(fixed_ns: Floats, road_bytes: Floats) -> Survivors:
    """The lower envelope of lines a + d * 8e9 / B, from B = 0 upwards; equal lines keep the first."""
    order = np.lexsort((np.arange(len(fixed_ns)), fixed_ns, road_bytes))
    hull: list[int] = []
    switches: list[float] = []  # in bytes per nanosecond: where the next one begins to win
    for line in order.tolist():
        a, d = float(fixed_ns[line]), float(road_bytes[line])
        if hull and a >= fixed_ns[hull[-1]]:
            continue  # more bytes for no less time
        while hull:
            meet = (d - float(road_bytes[hull[-1]])) / (float(fixed_ns[hull[-1]]) - a)
            if meet > (switches[-1] if switches else 0.0):
                switches.append(meet)
                break
            hull.pop()
            if switches:
                switches.pop()
        hull.append(line)
    return Survivors(
        indices=tuple(hull),
        switch_bps=tuple(rate * NS_BITS_PER_BYTE_S for rate in switches),
        fixed_ns=tuple(float(fixed_ns[line]) for line in hull),
        road_bytes=tuple(float(road_bytes[line]) for line in hull),
    )


def never_beaten(placements: Placements, *, cost_ns: Floats) -> Integers:
    """Indices of placements that no other one beats or equals in everything; of equal ones the first.

    Everything: the fixed time at each level, bytes up, bytes down, which queues are waited for, and
    ``cost_ns`` (K,), the fixed part of the objective at settled prices. The objective of
    ``placement.decision`` rises with each of these, so one of those kept is optimal whatever the road is like.
    """
    columns = [
        *placements.base_ns,
        placements.up_bytes,
        placements.down_bytes,
        *placements.waits,
        cost_ns,
    ]
    return np.sort(_minimal(np.array(columns)))


def _minimal(columns: Floats) -> Integers:
    """Column indices of the minimal vectors; of equal ones the first."""
    columns = columns[columns.min(axis=1) < columns.max(axis=1)]  # what all have alike tells nothing
    scale = np.abs(columns).max(axis=1, keepdims=True)
    left = np.argsort((columns / scale).sum(axis=0), kind="stable")
    rows = columns[:, left]
    kept = []
    while len(left):
        kept.append(left[0])  # the smallest sum: nothing that is left beats it
        better = (rows < rows[:, :1]).any(axis=0)
        rows, left = rows[:, better], left[better]
    return np.array(kept, dtype=np.int64)
