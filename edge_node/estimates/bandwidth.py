"""Pure core: how long so many bytes take, by regression of delivered time on bytes.

``delivered = start + bytes / rate``: pings pin the start, frames the slope. Both are drawn towards what was believed
before, by as much as the noise deserves (Bayesian linear regression with independent priors of start and slope):
where all sizes are alike the data tell only their level, and what was believed decides how it is made up. Samples
fade with time; one far off the line counts as one moderately off it (Huber 1964), so that a stall does not look like
a slow link. After a change the start is believed to be what small messages lately took, and the rest of the new level
is put down to the rate: radios change their rate more often than cables their length. No time comes out negative.
Reads no clock.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
PRIOR_BYTES_PER_S = 40e6 / 8  # a middling Wi-Fi link
PRIOR_START_NS = 5 * NS_PER_MS
HALF_LIFE_NS = 5 * NS_PER_S
CLIP_DEVIATIONS = 3.0  # of the mean absolute deviation
CLIP_AFTER = 8  # samples: before, nobody knows what is far off
DEVIATION_AFTER = 3  # samples: before, a distance tells of the prior, not of noise
DEVIATION_GAIN = 1 / 16
PRIOR_DOUBT = 2.0  # standard deviation of what is believed at first, in slopes and in starts
START_DOUBT = 0.5  # of the start after a change, in starts
KNOWN_START_MOST, GUESSED_START_MOST = 0.9, 0.6  # of the quickest delivery after a change: more is no start
LEAST_START_DOUBT_NS = 200_000.0
LEAST_DEVIATION_NS = 50_000.0
LEAST_SLOPE_NS = 0.1  # per byte: 80 Gbit/s
NEWEST = 64  # kept one by one, to start over from
SMALL_BYTES = 2_000  # what is sent at once: its time is all start
SMALLS = 9  # newest small messages whose median is the start

Sample = tuple[int, int, int]  # bytes, nanoseconds to deliver them, when


@dataclass(slots=True, kw_only=True)
class _Sums:
    weight: float = 0.0
    mean_bytes: float = 0.0
    mean_ns: float = 0.0
    spread: float = 0.0  # sum of squared distances of the sizes
    product: float = 0.0  # of distances of size and time

    def fade(self, kept: float) -> None:
        self.weight *= kept
        self.spread *= kept
        self.product *= kept

    def add(self, size: float, took_ns: float) -> None:
        """West 1979: weighted means and products without cancellation."""
        self.weight += 1.0
        off_bytes = size - self.mean_bytes
        off_ns = took_ns - self.mean_ns
        self.mean_bytes += off_bytes / self.weight
        self.mean_ns += off_ns / self.weight
        self.spread += off_bytes * (size - self.mean_bytes)
        self.product += off_bytes * (took_ns - self.mean_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Belief:
    """What is believed before any sample, and the standard deviation of either."""

    start_ns: float
    start_doubt_ns: float
    slope_ns: float  # per byte

    @property
    def slope_doubt_ns(self) -> float:
        return PRIOR_DOUBT * self.slope_ns


class Bandwidth:
    """One way's rate. Priors stand until something was delivered."""

    def __init__(
        self,
        *,
        prior_bytes_per_s: float = PRIOR_BYTES_PER_S,
        prior_start_ns: int = PRIOR_START_NS,
        half_life_ns: int = HALF_LIFE_NS,
    ) -> None:
        self._belief = _Belief(
            start_ns=float(prior_start_ns),
            start_doubt_ns=PRIOR_DOUBT * prior_start_ns,
            slope_ns=NS_PER_S / prior_bytes_per_s,
        )
        self._half_life_ns = half_life_ns
        self._sums = _Sums()
        self._deviation_ns = LEAST_DEVIATION_NS
        self._seen = 0
        self._last_ns = 0
        self._newest: deque[Sample] = deque(maxlen=NEWEST)
        self._smalls_ns: deque[int] = deque(maxlen=SMALLS)
        self._line: tuple[float, float] | None = None  # start and slope, until something is learned

    def __len__(self) -> int:
        return self._seen

    def add(self, payload_bytes: int, delivered_ns: int, *, now_ns: int) -> None:
        """So many bytes took so long."""
        self._newest.append((payload_bytes, delivered_ns, now_ns))
        if payload_bytes <= SMALL_BYTES:
            self._smalls_ns.append(delivered_ns)
        self._take(payload_bytes, delivered_ns, now_ns=now_ns)

    def transfer_ns(self, payload_bytes: int, *, now_ns: int) -> int:
        """How long so many bytes should take; never negative."""
        del now_ns  # what fades is the trust in the line, not the line
        start_ns, slope_ns = self._line or self._fitted()
        took_ns = round(start_ns + slope_ns * payload_bytes)
        return max(0, took_ns)

    @property
    def bytes_per_s(self) -> float | None:
        """The measured rate; None while neither sizes nor a known start tell it."""
        spread, _, pull = self._pulled(self._start_weight())
        slope = self._fitted()[1]
        known = spread >= pull and self._seen > 1
        return NS_PER_S / slope if known and slope > 0 else None

    @property
    def start_ns(self) -> int:
        """What a delivery of no bytes would take."""
        return max(0, round(self._line_ns(0)))

    def reset(self, *, keep: int = 0) -> None:
        """The link changed: start over from the newest ``keep`` samples; before them the last line is believed."""
        kept = list(self._newest)[-keep:] if keep else []
        if self._seen:
            self._belief = self._believed_of(kept)
        self._newest.clear()
        self._sums, self._seen, self._line = _Sums(), 0, None
        for size, took_ns, at_ns in kept:
            self._newest.append((size, took_ns, at_ns))
            self._take(size, took_ns, now_ns=at_ns)

    def _believed_of(self, kept: Sequence[Sample]) -> _Belief:
        old_start_ns, old_slope_ns = self._fitted()
        start_ns, most = max(0.0, old_start_ns), GUESSED_START_MOST
        if self._smalls_ns:
            start_ns, most = float(median(self._smalls_ns)), KNOWN_START_MOST
        slope_ns = max(LEAST_SLOPE_NS, old_slope_ns)
        large = [(size, took_ns) for size, took_ns, _ in kept if size > SMALL_BYTES]
        if large:
            start_ns = min(start_ns, most * min(took_ns for _, took_ns in large))
            left_ns = sum(took_ns - start_ns for _, took_ns in large)
            slope_ns = max(LEAST_SLOPE_NS, left_ns / sum(size for size, _ in large))
        doubt_ns = max(LEAST_START_DOUBT_NS, START_DOUBT * start_ns)
        return _Belief(start_ns=start_ns, start_doubt_ns=doubt_ns, slope_ns=slope_ns)

    def _take(self, size: int, took_ns: int, *, now_ns: int) -> None:
        sums = self._sums
        if self._seen:
            sums.fade(0.5 ** (max(0, now_ns - self._last_ns) / self._half_life_ns))
        self._last_ns = now_ns
        line_ns = self._line_ns(size)
        off_ns = took_ns - line_ns
        if self._seen >= CLIP_AFTER:
            most_ns = CLIP_DEVIATIONS * self._deviation_ns
            off_ns = max(-most_ns, min(most_ns, off_ns))
        if self._seen >= DEVIATION_AFTER:
            gain = max(DEVIATION_GAIN, 1 / (self._seen - DEVIATION_AFTER + 2))
            self._deviation_ns += gain * (abs(off_ns) - self._deviation_ns)
            self._deviation_ns = max(self._deviation_ns, LEAST_DEVIATION_NS)
        sums.add(float(size), line_ns + off_ns)
        self._seen += 1
        self._line = None

    def _pulled(self, pseudo: float) -> tuple[float, float, float]:
        """Spread and product with the believed start as one more sample, of no bytes; the pull of the believed slope.

        What is believed weighs as much as the noise's variance over its own.
        """
        sums, belief = self._sums, self._belief
        shared = sums.weight * pseudo / (sums.weight + pseudo) * sums.mean_bytes
        spread = sums.spread + shared * sums.mean_bytes
        product = sums.product + shared * (sums.mean_ns - belief.start_ns)
        return spread, product, (self._deviation_ns / belief.slope_doubt_ns) ** 2

    def _start_weight(self) -> float:
        return (self._deviation_ns / self._belief.start_doubt_ns) ** 2

    def _fitted(self) -> tuple[float, float]:
        """Start and slope of the line; the start may be negative."""
        if self._line is None:
            sums, belief = self._sums, self._belief
            pseudo = self._start_weight()
            spread, product, pull = self._pulled(pseudo)
            slope_ns = max(0.0, (product + pull * belief.slope_ns) / (spread + pull))
            level_ns = sums.weight * (sums.mean_ns - slope_ns * sums.mean_bytes) + pseudo * belief.start_ns
            self._line = (level_ns / (sums.weight + pseudo), slope_ns)
        return self._line

    def _line_ns(self, size: float) -> float:
        start_ns, slope_ns = self._fitted()
        return start_ns + slope_ns * size
