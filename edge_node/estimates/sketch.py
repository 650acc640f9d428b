"""Pure core: quantiles of recent durations in which the newest count most, losses included.

Every sample weighs half as much after each ``half_life_ns``; a loss is a duration that no budget reaches. Keeps the
newest ``limit`` samples, sorted, so that a query is a binary search. Refuses nothing: negative values (residuals) are
welcome. Stays here: how samples fade. Whose durations they are is known elsewhere. Reads no clock.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

NEVER_NS = 1 << 62  # a loss: longer than any budget
REBASE_HALVINGS = 64.0  # stored weights grow as 2**halvings since the epoch: move it before they overflow


class Picture:
    """A sketch at one moment. Queries are binary searches."""

    __slots__ = ("_cumulated", "_faded", "_prior_share", "_prior_weight", "_sorted")

    def __init__(
        self,
        ordered: Sequence[tuple[int, int]],
        cumulated: Sequence[float],
        faded: float,
        prior_share: float,
        prior_weight: float,
    ) -> None:
        self._sorted = ordered
        self._cumulated = cumulated
        self._faded = faded
        self._prior_share = prior_share
        self._prior_weight = prior_weight

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def weight(self) -> float:
        """How many fresh samples it is worth."""
        return self._cumulated[-1] * self._faded if self._cumulated else 0.0

    def at(self, fraction: float) -> int | None:
        """The smallest sample that at least ``fraction`` of the weight does not exceed; ``NEVER_NS`` for a loss."""
        if not self._sorted:
            return None
        where = bisect_left(self._cumulated, fraction * self._cumulated[-1])
        return self._sorted[min(where, len(self._sorted) - 1)][0]

    def share_below(self, value_ns: int) -> float | None:
        """The share of the weight at or below a value, drawn towards the prior."""
        if not self._sorted:
            return None
        where = bisect_left(self._sorted, (min(value_ns, NEVER_NS - 1) + 1,))
        below = self._cumulated[where - 1] * self._faded if where else 0.0
        prior = self._prior_weight
        return (below + prior * self._prior_share) / (self.weight + prior)


class DecayedSketch:
    """A weighted sample of the recent past.

    ``prior_share`` stands in for ``prior_weight`` samples in ``share_below``: few samples promise nothing, and samples
    that faded away promise no more than that.
    """

    def __init__(
        self, half_life_ns: int, limit: int = 512, *, prior_share: float = 0.5, prior_weight: float = 1.0
    ) -> None:
        self._half_life_ns = half_life_ns
        self._limit = limit
        self._prior_share = prior_share
        self._prior_weight = prior_weight
        self._epoch_ns = 0
        self._arrived: deque[tuple[int, int]] = deque()  # (value, serial number), oldest first
        self._sorted: list[tuple[int, int]] = []  # the same, by value
        self._weights: list[float] = []  # beside ``_sorted``, as seen at the epoch
        self._cumulated: list[float] | None = None
        self._pictured = False
        self._serial = 0

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, value_ns: int, *, now_ns: int, weight: float = 1.0) -> None:
        """Take in a duration or residual; it weighs ``weight`` now and fades from here on."""
        halvings = (now_ns - self._epoch_ns) / self._half_life_ns
        if halvings > REBASE_HALVINGS or not self._arrived:
            self._rebase(now_ns, halvings)
            halvings = 0.0
        if len(self._arrived) >= self._limit:
            self._forget_oldest()
        item = (value_ns, self._serial)
        self._serial += 1
        where = bisect_left(self._sorted, item)
        self._leave_pictures()
        self._sorted.insert(where, item)
        self._weights.insert(where, weight * math.pow(2.0, halvings))
        self._arrived.append(item)

    def add_loss(self, *, now_ns: int, weight: float = 1.0) -> None:
        """Take in an answer that never came."""
        self.add(NEVER_NS, now_ns=now_ns, weight=weight)

    def at(self, fraction: float, *, now_ns: int) -> int | None:
        """As ``Picture.at``; None where nothing was added."""
        return self.picture(now_ns=now_ns).at(fraction)

    def share_below(self, value_ns: int, *, now_ns: int) -> float | None:
        """As ``Picture.share_below``; None where nothing was added."""
        return self.picture(now_ns=now_ns).share_below(value_ns)

    def weight(self, *, now_ns: int) -> float:
        """How many fresh samples what is known is worth now."""
        return self.picture(now_ns=now_ns).weight

    def picture(self, *, now_ns: int) -> Picture:
        """What is known now; later samples leave the picture as it is."""
        if self._cumulated is None:
            self._cumulated = list(accumulate(self._weights))
        self._pictured = True
        return Picture(
            self._sorted,
            self._cumulated,
            math.pow(2.0, (self._epoch_ns - now_ns) / self._half_life_ns),
            self._prior_share,
            self._prior_weight,
        )

    def reset(self, *, keep: int = 0) -> None:
        """Forget all but the newest ``keep`` samples."""
        while len(self._arrived) > keep:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        where = bisect_left(self._sorted, self._arrived.popleft())
        self._leave_pictures()
        del self._sorted[where], self._weights[where]

    def _leave_pictures(self) -> None:
        """Before a change: the sorted values stay with the pictures that were taken of them."""
        if self._pictured:
            self._sorted = self._sorted.copy()
            self._pictured = False
        self._cumulated = None

    def _rebase(self, now_ns: int, halvings: float) -> None:
        faded = math.pow(2.0, -halvings) if self._arrived else 1.0
        self._weights = [weight * faded for weight in self._weights]
        self._epoch_ns = now_ns
