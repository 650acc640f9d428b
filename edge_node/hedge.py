"""Pure core: until when a frame may wait for somebody else before the headset must help itself.

Times are monotonic nanoseconds. Thin on purpose: one rule, one margin for each of its two questions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeMargins:
    """``start_ns``: kept free after the slowest expected local run; ``carry_ns``: kept free for answering."""

    start_ns: int = 10_000_000
    carry_ns: int = 10_000_000


def latest_local_start_ns(*, deadline_ns: int, local_p999_ns: int, margins: HedgeMargins) -> int:
    """The last moment at which a local run still ends in time."""
    return deadline_ns - local_p999_ns - margins.start_ns


def carry_at_ns(*, deadline_ns: int, margins: HedgeMargins) -> int:
    """The last moment at which an older result can still be moved forward in time."""
    return deadline_ns - margins.carry_ns


def is_worth_starting(*, now_ns: int, deadline_ns: int, local_p50_ns: int) -> bool:
    """Whether a local run begun now would usually end in time; if not, the slot is better kept for the next."""
    return now_ns + local_p50_ns <= deadline_ns
