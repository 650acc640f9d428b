"""Pure core: quantiles of recent durations in which the newest count most, losses included.

Every sample weighs half as much after each ``half_life_ns``; a loss is a duration that no budget reaches. Keeps the
newest ``limit`` samples, sorted, so that a query is a binary search. Refuses nothing: negative values (residuals) are
welcome. Stays here: how samples fade. Whose durations they are is known elsewhere. Reads no clock.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

NEVER_NS = 1 << 62  # a loss: longer than any budget
REBASE_HALVINGS = 64.0  # stored weights grow as 2**halvings since the epoch: move it before they overflow


class Picture:
    """A sketch at one moment. Queries are binary searches; those for shares add up what they find.

    For few that is quicker than having all sums ready; rising values go on from the sum of the one before.
    """

    __slots__ = (
        "_below",
        "_cumulated",
        "_faded",
        "_prior_share",
        "_prior_weight",
        "_total",
        "_values",
        "_weights",
    )

    def __init__(
        self,
        values: Sequence[int],
        weights: Sequence[float],
        total: float,
        faded: float,
        prior: tuple[float, float],
    ) -> None:
        self._values = values
        self._weights = weights
        self._total = total
        self._faded = faded
        self._prior_share, self._prior_weight = prior
        self._cumulated: list[float] | None = None
        self._below: tuple[int, float] = (0, 0.0)  # how many values the last query found, and their weight

    def __len__(self) -> int:
        return len(self._values)

    @property
    def weight(self) -> float:
        """How many fresh samples it is worth."""
        return self._total * self._faded

    def at(self, fraction: float) -> int | None:
        """The smallest sample that at least ``fraction`` of the weight does not exceed; ``NEVER_NS`` for a loss."""
        if not self._values:
            return None
        if self._cumulated is None:
            self._cumulated = list(accumulate(self._weights))
        where = bisect_left(self._cumulated, fraction * self._total)
        return self._values[min(where, len(self._values) - 1)]

    def share_below(self, value_ns: int, *, prior_share: float | None = None) -> float | None:
        """The share of the weight at or below a value, drawn towards the prior, or the one that is given."""
        if not self._values:
            return None
        where = bisect_right(self._values, value_ns if value_ns < NEVER_NS else NEVER_NS - 1)
        known, below = self._below
        if where < known:
            known, below = 0, 0.0
        if where > known:
            below = sum(self._weights[known:where], below)
        self._below = (where, below)
        prior = self._prior_weight
        share = self._prior_share if prior_share is None else prior_share
        return (below * self._faded + prior * share) / (self._total * self._faded + prior)


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
        self._prior = (prior_share, prior_weight)
        self._epoch_ns = 0
        self._arrived: deque[int] = deque()  # values, oldest first
        self._sorted: list[int] = []  # the same, by value; of equals the oldest first
        self._weights: list[float] = []  # beside ``_sorted``, as seen at the epoch
        self._total: float | None = None  # of the weights, until they change
        self._pictured = False

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
        self._leave_pictures()
        where = bisect_right(self._sorted, value_ns)
        self._sorted.insert(where, value_ns)
        self._weights.insert(where, weight * math.pow(2.0, halvings))
        self._arrived.append(value_ns)

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
        if self._total is None:
            self._total = sum(self._weights)
        self._pictured = True
        faded = math.pow(2.0, (self._epoch_ns - now_ns) / self._half_life_ns)
        return Picture(self._sorted, self._weights, self._total, faded, self._prior)

    def reset(self, *, keep: int = 0) -> None:
        """Forget all but the newest ``keep`` samples."""
        while len(self._arrived) > keep:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        where = bisect_left(self._sorted, self._arrived.popleft())
        self._leave_pictures()
        del self._sorted[where], self._weights[where]

    def _leave_pictures(self) -> None:
        """Before a change: values and weights stay with the pictures that were taken of them."""
        if self._pictured:
            self._sorted, self._weights = self._sorted.copy(), self._weights.copy()
            self._pictured = False
        self._total = None

    def _rebase(self, now_ns: int, halvings: float) -> None:
        faded = math.pow(2.0, -halvings) if self._arrived else 1.0
        self._weights = [weight * faded for weight in self._weights]
        self._epoch_ns = now_ns
