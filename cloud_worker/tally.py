"""Core: what happened at one worker since it started, and how long its runs took lately.

Written from the reactor's and the slots' threads. Answers "was every message accounted for": ``received`` is
the sum of dropped, repeats, pings, answered and refused once nothing waits.
"""

import threading
from collections import deque
from dataclasses import dataclass

from observability.metrics import Registry
from schemas.errors import Reason
from schemas.messages import RefusalReason

_RECENT_RUNS = 256

# names in the registry
MESSAGES, REFUSALS, MALFORMED, RUN = "worker_messages", "worker_refusals", "worker_malformed", "worker_run"
WORDS = (
    "received",
    "dropped_retained",
    "dropped_foreign",
    "dropped_flood",
    "repeats",
    "pings",
    "answered",
    "replies_unsent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TallySnapshot:
    """One moment's counts; ``refused`` and ``malformed`` by reason; durations in microseconds."""

    received: int
    dropped_retained: int
    dropped_foreign: int  # topics or kinds of message that ask this worker for nothing
    dropped_flood: int  # more came than could be looked at, even to refuse it
    repeats: int
    pings: int
    answered: int
    replies_unsent: int
    refused: dict[str, int]
    malformed: dict[str, int]
    run_p50_us: int  # of the last runs
    run_p99_us: int


class Tally:
    """Counters of one worker, kept in the process's registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._run_ns: deque[int] = deque(maxlen=_RECENT_RUNS)

    def note(self, word: str) -> None:
        """Count one event of ``WORDS``."""
        self._registry.count(MESSAGES, outcome=word)

    def ran(self, run_ns: int, *, task: str) -> None:
        """Count one answer and how long it ran."""
        self.note("answered")
        self._registry.record(RUN, run_ns / 1000, task=task)
        with self._lock:
            self._run_ns.append(run_ns)

    def refused(self, reason: RefusalReason) -> None:
        """Count one refusal."""
        self._registry.count(REFUSALS, reason=reason.name.lower())

    def malformed(self, reason: Reason) -> None:
        """Count why bytes could not be read; their refusal is counted by ``refused``."""
        self._registry.count(MALFORMED, reason=reason.value)

    def snapshot(self) -> TallySnapshot:
        """The counts as of now."""
        with self._lock:
            runs = sorted(self._run_ns)
        return TallySnapshot(
            **{word: self._registry.counter(MESSAGES, outcome=word) for word in WORDS},
            refused=self._by_reason(REFUSALS, [reason.name.lower() for reason in RefusalReason]),
            malformed=self._by_reason(MALFORMED, [reason.value for reason in Reason]),
            run_p50_us=quantile(runs, 0.5) // 1000,
            run_p99_us=quantile(runs, 0.99) // 1000,
        )

    def _by_reason(self, name: str, reasons: list[str]) -> dict[str, int]:
        counts = {reason: self._registry.counter(name, reason=reason) for reason in reasons}
        return {reason: count for reason, count in counts.items() if count}


def quantile(ordered: list[int], fraction: float) -> int:
    """The value below which ``fraction`` of an ordered list lies; 0 for an empty one."""
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0
