"""Vocabulary: how much worse an answer is than that of the best way, from 0 to 1. Tables, no logic but reading them.

The best way is the worker's float model on a picture of quality 100.
"""

from bisect import bisect_left
from functools import cache

LOCAL_LOSS = 0.1
# (JPEG quality, loss)
PICTURE_LOSSES: tuple[tuple[int, float], ...] = ((10, 0.2), (30, 0.06), (50, 0.03), (80, 0.005), (100, 0.0))
_QUALITIES = tuple(quality for quality, _ in PICTURE_LOSSES)


@cache
def picture_loss(quality: int) -> float:
    """Of a picture sent at a JPEG quality, 10 to 100."""
    right = max(1, bisect_left(_QUALITIES, quality))
    (low, more), (high, less) = PICTURE_LOSSES[right - 1], PICTURE_LOSSES[right]
    return more + (less - more) * (quality - low) / (high - low)
