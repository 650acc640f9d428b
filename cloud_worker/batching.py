"""Pure core: how many waiting requests run together, and how long to wait for more.

Size or deadline, whichever comes first. The default is a batch of one: the hand models take one crop, and on
a CPU a second frame in a batch only makes the first one late. The interface stays, so that an engine that
gains from batches needs another ``BatchPolicy`` and nothing else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """At most ``max_size`` requests together; the first waits at most ``max_wait_ns`` for company."""

    max_size: int = 1
    max_wait_ns: int = 0


def batch_size(policy: BatchPolicy, *, waiting: int, oldest_wait_ns: int) -> int:
    """How many of the waiting requests to run now; 0 means wait."""
    if waiting >= policy.max_size:
        return policy.max_size
    return waiting if oldest_wait_ns >= policy.max_wait_ns else 0


def patience_ns(policy: BatchPolicy, *, waiting: int, oldest_wait_ns: int) -> int | None:
    """Nanoseconds until ``batch_size`` can change by time alone; None: only another request changes it."""
    if waiting == 0:
        return None
    if batch_size(policy, waiting=waiting, oldest_wait_ns=oldest_wait_ns):
        return 0
    return policy.max_wait_ns - oldest_wait_ns
