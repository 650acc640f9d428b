"""Pure core: how likely a worker is to refuse the next request.

A worker that is overloaded refuses most requests from one moment to the next, and none soon after. Averages of
different memory follow what it says; the one that would have been least wrong lately is believed. What nobody
confirms fades: else a worker that was left because it refused would never be tried again. Reads no clock.
"""

HALF_LIFE_NS = 5_000_000_000
GAINS = (1 / 64, 1 / 16, 1 / 4)
MEMORY = 32  # answers over which the averages are judged


class RefusalRate:
    """One worker's refusals."""

    def __init__(self) -> None:
        self._shares = [0.0] * len(GAINS)
        self._wrong = [0.0] * len(GAINS)
        self._best = 0  # the average to believe
        self._seen = 0
        self._heard_ns = 0

    def add(self, *, refused: bool, now_ns: int) -> None:
        """A worker answered a request, or would not."""
        if not refused and not any(self._shares):  # as most never do
            self._heard_ns, self._seen = max(self._heard_ns, now_ns), self._seen + 1
            return
        kept = self._kept(now_ns)
        self._heard_ns = max(self._heard_ns, now_ns)
        self._seen += 1
        came = float(refused)
        for index, gain in enumerate(GAINS):
            expected = kept * self._shares[index]
            self._wrong[index] += ((came - expected) ** 2 - self._wrong[index]) / MEMORY
            self._shares[index] = expected + max(gain, 1 / (self._seen + 1)) * (came - expected)
        self._best = self._wrong.index(min(self._wrong))

    def at(self, now_ns: int) -> float:
        """The probability that a request sent now is refused."""
        share = self._shares[self._best]
        return self._kept(now_ns) * share if share else 0.0

    def _kept(self, now_ns: int) -> float:
        return float(0.5 ** (max(0, now_ns - self._heard_ns) / HALF_LIFE_NS))
