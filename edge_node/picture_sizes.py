"""Pure core: how large a frame would be as JPEG of another quality than the one that was sent last.

From the newest picture and the curve of sizes over qualities: the medians of 25 photos of hands at 640 pixels width.
Single photos are off by a quarter at most down to quality 50.
"""

from bisect import bisect_left

# of a JPEG's size at quality 80
CURVE: tuple[tuple[int, float], ...] = (
    (10, 0.286),
    (20, 0.381),
    (30, 0.471),
    (40, 0.550),
    (50, 0.622),
    (60, 0.694),
    (70, 0.813),
    (80, 1.0),
    (85, 1.155),
    (90, 1.437),
    (95, 2.075),
    (100, 4.194),
)
FIRST_BYTES, FIRST_QUALITY = 20_000, 80  # a picture of 640 pixels width, until one was sent
_QUALITIES = tuple(quality for quality, _ in CURVE)


def relative_size(quality: int) -> float:
    """The size at a quality, 10 to 100, over that at 80."""
    right = bisect_left(_QUALITIES, quality)
    if right == 0:
        return CURVE[0][1]
    (low, small), (high, large) = CURVE[right - 1], CURVE[right]
    return small + (large - small) * (quality - low) / (high - low)


class PictureSizes:
    """The newest picture of one headset, as any quality."""

    def __init__(self) -> None:
        self._bytes_at_80 = FIRST_BYTES / relative_size(FIRST_QUALITY)
        self._relative: dict[int, float] = {}

    def sent(self, payload_bytes: int, *, quality: int) -> None:
        """A picture left."""
        self._bytes_at_80 = payload_bytes / self._of(quality)

    def expected_bytes(self, quality: int) -> int:
        """Of the next picture at this quality."""
        return round(self._bytes_at_80 * self._of(quality))

    def _of(self, quality: int) -> float:
        if quality not in self._relative:
            self._relative[quality] = relative_size(quality)
        return self._relative[quality]
