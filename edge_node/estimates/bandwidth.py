"""Pure core: how long so many bytes take, by regression of delivered time on bytes.

``delivered = start + bytes / rate``: pings pin the start, frames the slope. The slope is drawn towards a prior by as
much as the noise deserves (Bayesian linear regression): where all sizes are alike the data cannot tell start from
rate, and the level is fitted while the prior slope stands. Samples fade with time; one far off the line counts as
one moderately off it (Huber 1964), so that a stall does not look like a slow link. Negative times are refused by
nobody and never come out. Reads no clock.
"""

from collections import deque
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
PRIOR_BYTES_PER_S = 40e6 / 8  # a middling Wi-Fi link
PRIOR_START_NS = 5 * NS_PER_MS
HALF_LIFE_NS = 5 * NS_PER_S
CLIP_DEVIATIONS = 3.0  # of the mean absolute deviation
CLIP_AFTER = 8  # samples: before, nobody knows what is far off
DEVIATION_AFTER = 3  # samples: before, a distance tells of the prior, not of noise
DEVIATION_GAIN = 1 / 16
PRIOR_DOUBT = 2.0  # standard deviation of the prior slope, in slopes
LEAST_DEVIATION_NS = 50_000.0
NEWEST = 64  # kept one by one, to start over from


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


class Bandwidth:
    """One way's rate. Priors stand until something was delivered."""

    def __init__(
        self,
        *,
        prior_bytes_per_s: float = PRIOR_BYTES_PER_S,
        prior_start_ns: int = PRIOR_START_NS,
        half_life_ns: int = HALF_LIFE_NS,
    ) -> None:
        self._prior_slope_ns = NS_PER_S / prior_bytes_per_s
        self._prior_start_ns = float(prior_start_ns)
        self._half_life_ns = half_life_ns
        self._sums = _Sums()
        self._deviation_ns = LEAST_DEVIATION_NS
        self._seen = 0
        self._last_ns = 0
        self._newest: deque[tuple[int, int, int]] = deque(maxlen=NEWEST)

    def __len__(self) -> int:
        return self._seen

    def add(self, payload_bytes: int, delivered_ns: int, *, now_ns: int) -> None:
        """So many bytes took so long."""
        self._newest.append((payload_bytes, delivered_ns, now_ns))
        self._take(payload_bytes, delivered_ns, now_ns=now_ns)

    def transfer_ns(self, payload_bytes: int, *, now_ns: int) -> int:
        """How long so many bytes should take; never negative."""
        del now_ns  # what fades is the trust in the line, not the line
        return max(0, round(self._line_ns(payload_bytes)))

    @property
    def bytes_per_s(self) -> float | None:
        """The measured rate; None while the sizes seen were too alike to tell it from the start."""
        pull = self._pull()
        slope = self._slope_ns(pull)
        known = self._sums.spread >= pull and self._seen > 1
        return NS_PER_S / slope if known and slope > 0 else None

    @property
    def start_ns(self) -> int:
        """What a delivery of no bytes would take."""
        return max(0, round(self._line_ns(0)))

    def reset(self, *, keep: int = 0) -> None:
        """The link changed: start over from the newest ``keep`` samples, the last line being the prior."""
        if self._seen:
            self._prior_start_ns = float(self.start_ns)
            slope = self._slope_ns(self._pull())
            self._prior_slope_ns = slope if slope > 0 else self._prior_slope_ns
        kept = list(self._newest)[-keep:] if keep else []
        self._newest.clear()
        self._sums, self._seen = _Sums(), 0
        for size, took_ns, at_ns in kept:
            self.add(size, took_ns, now_ns=at_ns)

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

    def _pull(self) -> float:
        """How much spread of sizes the prior slope is worth: noise variance over the prior's own variance."""
        return (self._deviation_ns / (PRIOR_DOUBT * self._prior_slope_ns)) ** 2

    def _slope_ns(self, pull: float) -> float:
        return (self._sums.product + pull * self._prior_slope_ns) / (self._sums.spread + pull)

    def _line_ns(self, size: float) -> float:
        if not self._seen:
            return self._prior_start_ns + size * self._prior_slope_ns
        slope_ns = max(0.0, self._slope_ns(self._pull()))
        return self._sums.mean_ns + slope_ns * (size - self._sums.mean_bytes)
