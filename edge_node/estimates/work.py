"""Pure core: what a worker will spend on a request, its queue by what it last said and its runs per way, and this host.

A queue is a matter of now: what was said of it halves every second that nothing more is said. A run is smoothed.
Reads no clock.
"""

from collections import Counter

QUEUE_HALF_LIFE_NS = 1_000_000_000
QUEUE_GAIN = 0.5
RUMOUR_AFTER_NS = (
    500_000_000  # what a worker tells everybody counts when our own requests told nothing for so long
)
RUN_GAIN = 1 / 8
HOST_GAIN = 1 / 8
PRIOR_RUN_NS = 10_000_000
PRIOR_RUNS = 0.5  # the first real run weighs twice as much as what was believed of it
PING = "ping"  # answered before anything queues or runs


class WorkerTimes:
    """One worker's queue and runs. A way is a ``Path``, or ``PING``."""

    def __init__(self, *, prior_run_ns: int = PRIOR_RUN_NS) -> None:
        self._prior_run_ns = prior_run_ns
        self._queue_ns = 0.0
        self._said_at_ns = 0
        self._own_word_ns: int | None = None
        self._runs_ns: dict[str, float] = {}
        self._ran: Counter[str] = Counter()

    def on_queue(self, queue_ns: int, *, now_ns: int) -> None:
        """The worker said how long something of ours waited."""
        self._own_word_ns = now_ns
        self._follow(queue_ns, now_ns=now_ns)

    def on_rumour(self, queue_ns: int, *, run_ns: int = 0, now_ns: int) -> None:
        """The worker told everybody how long something would wait, and how long it runs mostly; 0: it ran nothing yet."""
        self._prior_run_ns = run_ns or self._prior_run_ns
        if self._own_word_ns is None or now_ns - self._own_word_ns >= RUMOUR_AFTER_NS:
            self._follow(queue_ns, now_ns=now_ns)

    def _follow(self, queue_ns: int, *, now_ns: int) -> None:
        faded_ns = self._faded_queue_ns(now_ns)
        self._queue_ns = faded_ns + QUEUE_GAIN * (queue_ns - faded_ns)
        self._said_at_ns = now_ns

    def on_run(self, way: str, run_ns: int) -> None:
        """The worker decoded and ran for so long."""
        known_ns = float(self.run_ns(way))
        self._ran[way] += 1
        gain = max(RUN_GAIN, 1 / (self._ran[way] + PRIOR_RUNS))
        self._runs_ns[way] = known_ns + gain * (run_ns - known_ns)

    def queue_ns(self, *, now_ns: int) -> int:
        """How long a request sent now should wait at the worker."""
        return round(self._faded_queue_ns(now_ns))

    def run_ns(self, way: str) -> int:
        """How long a request of this way should take there; the longest known, or the prior, for an untried way."""
        if way == PING:
            return 0
        known = self._runs_ns.get(way)
        if known is None:
            known = max(self._runs_ns.values(), default=float(self._prior_run_ns))
        return round(known)

    def expected_ns(self, way: str, *, now_ns: int) -> int:
        """Queue and run together."""
        return 0 if way == PING else round(self._faded_queue_ns(now_ns)) + self.run_ns(way)

    def _faded_queue_ns(self, now_ns: int) -> float:
        silent_ns = max(0, now_ns - self._said_at_ns)
        return float(self._queue_ns * 0.5 ** (silent_ns / QUEUE_HALF_LIFE_NS))


class HostTimes:
    """What this host spends around a request, per way: encoding it, and taking its answer in."""

    def __init__(self) -> None:
        self._known_ns: dict[str, float] = {}

    def add(self, way: str, spent_ns: int) -> None:
        """So long passed between a decision and its answer that neither the link nor the worker needed."""
        known_ns = self._known_ns.get(way, float(spent_ns))
        self._known_ns[way] = known_ns + HOST_GAIN * (spent_ns - known_ns)

    def expected_ns(self, way: str) -> int:
        """How long a request of this way should take here; 0 before the first."""
        return round(self._known_ns.get(way, 0.0))
