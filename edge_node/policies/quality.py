"""Vocabulary: how much worse an answer is than that of the best way, from 0 to 1. Tables, no logic but reading them.

The best way is the full float model on the picture as it was captured. A loss is how far hands lie from where that sees
them, as a share of a tenth of their size: 0 is the same place, 1 is a tenth off, worse, or no hand. Measured with the
hand landmark models on 37 hands of photos and videos, 640 pixels wide. What models lose is said by the split config.
"""

from bisect import bisect_left
from functools import cache

PICTURE_LOSSES: tuple[tuple[int, float], ...] = (  # JPEG quality, loss
    (10, 0.48),
    (20, 0.26),
    (30, 0.20),
    (40, 0.19),
    (50, 0.16),
    (60, 0.10),
    (70, 0.06),
    (80, 0.05),
    (90, 0.03),
    (95, 0.02),
    (100, 0.0),
)
_QUALITIES = tuple(quality for quality, _ in PICTURE_LOSSES)


def together(first: float, second: float) -> float:
    """Of two losses, one upon the other."""
    return 1 - (1 - first) * (1 - second)


@cache
def picture_loss(quality: int) -> float:
    """Of a picture sent at a JPEG quality, 10 to 100."""
    right = max(1, bisect_left(_QUALITIES, quality))
    (low, more), (high, less) = PICTURE_LOSSES[right - 1], PICTURE_LOSSES[right]
    return more + (less - more) * (quality - low) / (high - low)
