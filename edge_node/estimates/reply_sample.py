"""Vocabulary: one answer of a worker, as the estimators see it."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class ReplySample:
    """One answer: sizes in bytes, times in nanoseconds. ``worker_*_ns`` are of the worker's clock, where it said them.

    ``way`` is a ``Path``, or ``PING`` for a probe.
    """

    frame_id: int
    payload_bytes: int
    result_bytes: int
    sent_ns: int
    heard_ns: int
    queue_ns: int
    decode_ns: int
    run_ns: int
    way: str
    worker_received_ns: int | None = None
    worker_replied_ns: int | None = None

    @property
    def total_ns(self) -> int:
        """From sending to hearing."""
        return max(0, self.heard_ns - self.sent_ns)

    @property
    def transport_ns(self) -> int:
        """The total less what the worker spent."""
        return max(0, self.total_ns - self.queue_ns - self.decode_ns - self.run_ns)
