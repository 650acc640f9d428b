"""Pure core: how many waiting requests run together, and how long to wait for more.

Size or deadline, whichever comes first, and never past what the first in line can afford: a batch is expected to take
as long as its requests one after the other, so one that would make the first late is cut, and company is not waited
for longer than leaves it time to run. The default is a batch of one: the hand models take one crop, and on a CPU a
second frame in a batch only makes the first one late. The interface stays, so that an engine that gains from batches
needs another ``BatchPolicy`` and nothing else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """At most ``max_size`` requests together; the first waits at most ``max_wait_ns`` for company."""

    max_size: int = 1
    max_wait_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first in line: how long it waited, what is left of its budget, and what a run is expected to take."""

    waited_ns: int
    left_ns: int
    run_ns: int

    def affords(self, requests: int) -> bool:
        """Whether it is in time in a batch of so many."""
        return requests * self.run_ns <= self.left_ns


def batch_size(policy: BatchPolicy, *, waiting: int, head: Head | None) -> int:
    """How many of the waiting requests to run now; 0 means wait. ``head`` is None where nobody waits."""
    if head is None:
        return 0
    if patience_ns(policy, waiting=waiting, head=head):
        return 0
    most = min(waiting, policy.max_size)
    return next((size for size in range(most, 1, -1) if head.affords(size)), 1)


def patience_ns(policy: BatchPolicy, *, waiting: int, head: Head | None) -> int | None:
    """Nanoseconds until ``batch_size`` can change by time alone; None: only another request changes it."""
    if head is None:
        return None
    if waiting >= policy.max_size or not head.affords(waiting + 1):  # company would make it late
        return 0
    spare_ns = head.left_ns - (waiting + 1) * head.run_ns
    return max(0, min(policy.max_wait_ns - head.waited_ns, spare_ns))
