"""A latency histogram with fixed logarithmic buckets. Core: no lock, no clock.

Buckets grow by a tenth from 1 µs to 100 s, so that a quantile is wrong by at most 5 %, histograms of two
nodes add up bucket by bucket, and memory does not depend on how much was recorded.
"""

import math
from itertools import accumulate

from observability.errors import MetricsError

LEAST_US = 1.0
RATIO = 1.1
BUCKETS = 195  # LEAST_US * RATIO ** 194 is a little over 100 s
_LOG_RATIO = math.log(RATIO)


def bucket_of(value_us: float) -> int:
    """Index of the bucket that holds a value; the first and last also hold what lies beyond."""
    if value_us <= LEAST_US:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(value_us / LEAST_US) / _LOG_RATIO))


def upper_us(bucket: int) -> float:
    """Upper edge of a bucket in µs."""
    return LEAST_US * math.pow(RATIO, bucket)


class Histogram:
    """Counts of durations in µs by bucket, their sum, and the largest."""

    __slots__ = ("counts", "largest_us", "sum_us", "total")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total = 0
        self.sum_us = 0.0
        self.largest_us = 0.0

    def record(self, value_us: float) -> None:
        """Count one duration.

        Raises:
            MetricsError: it is negative, infinite or not a number.
        """
        if not 0 <= value_us < math.inf:
            raise MetricsError(
                f"a duration is at least 0 and finite, got {value_us}; check which clock it is of"
            )
        self.counts[bucket_of(value_us)] += 1
        self.total += 1
        self.sum_us += value_us
        self.largest_us = max(self.largest_us, value_us)

    def quantile_us(self, fraction: float) -> float | None:
        """The duration below which ``fraction`` of all lie, None of nothing. Geometric middle of its bucket."""
        if not self.total:
            return None
        rank = max(1, math.ceil(fraction * self.total))
        bucket = next(at for at, seen in enumerate(accumulate(self.counts)) if seen >= rank)
        middle = upper_us(bucket) / math.sqrt(RATIO) if bucket else LEAST_US
        return min(middle, self.largest_us)

    def merge(self, other: "Histogram") -> None:
        """Add what another histogram counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.sum_us += other.sum_us
        self.largest_us = max(self.largest_us, other.largest_us)
