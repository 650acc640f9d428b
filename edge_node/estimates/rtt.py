"""Pure core: how long to wait for a reply before it counts as missing (RFC 6298, Jacobson 1988, Karn 1987).

Smoothed round trip and its deviation as TCP keeps them, WITHOUT the floor of one second of RFC 6298 (2.4): a frame
is worthless after tens of milliseconds. Karn's rule stays: an answer to what was sent twice teaches nothing, because
nobody knows which sending it answers. A round trip is of the transport alone: the worker's own work is taken off.
Reads no clock.
"""

from schemas.messages import Timing

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
INITIAL_NS = 1_000 * NS_PER_MS  # RFC 6298 (2.1): before anything was measured
MAX_NS = 60_000 * NS_PER_MS  # RFC 6298 (2.5): a ceiling of at least 60 s
SMOOTHING = 8  # 1 / alpha
DEVIATION_SMOOTHING = 4  # 1 / beta
DEVIATIONS = 4  # K


def transport_rtt_ns(*, sent_ns: int, received_ns: int, timing: Timing) -> int:
    """Send to reply, less what the worker says it spent on queue, decoding and running (never below 0)."""
    worked_ns = (timing.queue_us + timing.decode_us + timing.run_us) * NS_PER_US
    return max(0, received_ns - sent_ns - worked_ns)


class RttEstimator:
    """One route's round trips. ``granularity_ns`` is the least that is added to the smoothed round trip."""

    def __init__(
        self, *, initial_ns: int = INITIAL_NS, granularity_ns: int = NS_PER_MS, max_ns: int = MAX_NS
    ) -> None:
        self._granularity_ns = granularity_ns
        self._max_ns = max_ns
        self._base_ns = min(initial_ns, max_ns)
        self._doublings = 0
        self._srtt_ns: float | None = None
        self._rttvar_ns = 0.0
        self.last_ns: int | None = None  # the newest round trip as it was measured

    def add(self, rtt_ns: int, *, resent: bool = False) -> None:
        """Take in a round trip; one of something that was sent again is not looked at (Karn)."""
        if resent:
            return
        self.last_ns = rtt_ns
        if self._srtt_ns is None:
            self._srtt_ns, self._rttvar_ns = float(rtt_ns), rtt_ns / 2
        else:
            off_ns = abs(self._srtt_ns - rtt_ns)
            self._rttvar_ns += (off_ns - self._rttvar_ns) / DEVIATION_SMOOTHING
            self._srtt_ns += (rtt_ns - self._srtt_ns) / SMOOTHING
        spread_ns = max(float(self._granularity_ns), DEVIATIONS * self._rttvar_ns)
        self._base_ns = round(self._srtt_ns + spread_ns)
        self._doublings = 0

    def on_timeout(self) -> None:
        """A reply is missing: wait twice as long for the next one, up to the ceiling."""
        if self.rto_ns < self._max_ns:
            self._doublings += 1

    @property
    def rto_ns(self) -> int:
        """After how long the next reply counts as missing."""
        return min(self._max_ns, self._base_ns << self._doublings)

    @property
    def srtt_ns(self) -> int | None:
        """The smoothed round trip; None before the first."""
        return None if self._srtt_ns is None else round(self._srtt_ns)

    @property
    def rttvar_ns(self) -> int | None:
        """The smoothed deviation; None before the first round trip."""
        return None if self._srtt_ns is None else round(self._rttvar_ns)
