"""Pure core: a budget that refills evenly up to a burst. What a token pays for is known elsewhere. Times are passed in."""

NS_PER_S = 1_000_000_000


class TokenBucket:
    """So many tokens a second, so many at once at most. Begins full; refuses nobody, but says when it is empty."""

    def __init__(self, *, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._level = burst
        self._seen_ns: int | None = None

    def use(self, *, per_s: float, burst: float) -> None:
        """Refill by other numbers from now on; what is left stays, up to the new burst."""
        self._per_s, self._burst = per_s, burst
        self._level = min(self._level, burst)

    def has_one(self, *, now_ns: int) -> bool:
        """Whether a whole token is there."""
        self._refill(now_ns)
        return self._level >= 1

    def take(self, *, now_ns: int) -> None:
        """Use one up; an empty budget stays empty, it owes nothing."""
        self._refill(now_ns)
        self._level = max(0.0, self._level - 1)

    def _refill(self, now_ns: int) -> None:
        if self._seen_ns is not None:
            self._level = min(
                self._burst, self._level + self._per_s * max(0, now_ns - self._seen_ns) / NS_PER_S
            )
        self._seen_ns = now_ns if self._seen_ns is None else max(self._seen_ns, now_ns)
