"""Pure core: how far the newest answers were off what had been predicted, where that says something of the next.

Delays of neighbours are alike on some links and not on others. Rows of ``WAYS`` each follow the recent errors in
their own fashion; the one that would have been least wrong lately is believed, the first of which follows nothing.
What is followed halves with every ``HALF_LIFE_NS`` without an answer. Reads no clock.
"""

from dataclasses import dataclass

HALF_LIFE_NS = 500_000_000
MEMORY = 64  # answers over which the ways are judged


@dataclass(frozen=True, slots=True)
class Way:
    """An average that takes ``gain`` of each new error, and ``share`` of which is expected of the next."""

    gain: float
    share: float


WAYS = (Way(0.0, 0.0), Way(0.1, 1.0), Way(0.4, 0.9), Way(1.0, 0.6), Way(1.0, 0.95))
_GAINS = tuple(way.gain for way in WAYS)
_SHARES = tuple(way.share for way in WAYS)
Guesses = tuple[float, ...]  # one per way, in nanoseconds


class Drift:
    """The errors of one route's predictions."""

    def __init__(self) -> None:
        self._levels_ns = [0.0] * len(WAYS)
        self._wrong_ns = [0.0] * len(WAYS)
        self._best = 0
        self._heard_ns = 0

    def guesses(self, *, now_ns: int) -> Guesses:
        """What each way expects of a request sent now; hand them back with its answer."""
        silent_ns = now_ns - self._heard_ns
        kept = 0.5 ** (silent_ns / HALF_LIFE_NS) if silent_ns > 0 else 1.0
        return tuple([kept * level * share for level, share in zip(self._levels_ns, _SHARES, strict=True)])

    def best(self, guesses: Guesses) -> int:
        """The guess to believe, in nanoseconds."""
        return round(guesses[self._best])

    def add(self, error_ns: int, guesses: Guesses, *, now_ns: int) -> None:
        """An answer came ``error_ns`` later than predicted, and these had been the guesses."""
        self._heard_ns = now_ns
        self._wrong_ns = wrong_ns = [
            wrong + (abs(error_ns - guess) - wrong) / MEMORY
            for wrong, guess in zip(self._wrong_ns, guesses, strict=True)
        ]
        self._levels_ns = [
            level + gain * (error_ns - level) for level, gain in zip(self._levels_ns, _GAINS, strict=True)
        ]
        self._best = wrong_ns.index(min(wrong_ns))

    def reset(self) -> None:
        """Predictions are made anew: their errors so far say nothing."""
        self._levels_ns = [0.0] * len(WAYS)
