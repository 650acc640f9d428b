"""How long to wait before the next attempt: capped full jitter.

Pure core: the randomness is passed in. Full jitter spreads a fleet that lost its
broker at one instant over the whole interval.
"""

from __future__ import annotations

import random


class Backoff:
    """Doubling ceilings from `floor_ns` to `cap_ns`, a uniform draw below each."""

    def __init__(self, *, floor_ns: int, cap_ns: int, rng: random.Random) -> None:
        self._floor_ns = floor_ns
        self._cap_ns = cap_ns
        self._rng = rng
        self._attempts = 0

    def next_ns(self) -> int:
        """Nanoseconds to wait before the next attempt."""
        exponent = min(self._attempts, 32)  # 2**32 floors is past any cap
        self._attempts += 1
        return round(self._rng.uniform(0.0, min(self._cap_ns, self._floor_ns << exponent)))

    def reset(self) -> None:
        """The last attempt came all the way: begin at the floor again."""
        self._attempts = 0
