"""Pure core: until when a frame may wait for somebody else before the headset must help itself.

Times are monotonic nanoseconds. Thin on purpose: one rule, one margin for each of its two questions.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeMargins:
    """``start_ns``: kept free after the slowest expected local run; ``carry_ns``: kept free for answering.

    ``most_carry_ns`` bounds how far a host that wakes late may widen the latter.
    """

    start_ns: int = 10_000_000
    carry_ns: int = 10_000_000
    most_carry_ns: int = 40_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyLimits:
    """``waiting``: frames that may wait for the slot, the oldest goes first; ``patience_ns``: then none."""

    waiting: int = 2
    patience_ns: int = 1_000_000_000
    margins: HedgeMargins = field(default_factory=HedgeMargins)


def latest_local_start_ns(*, deadline_ns: int, local_p999_ns: int, margins: HedgeMargins) -> int:
    """The last moment at which a local run still ends in time."""
    return deadline_ns - local_p999_ns - margins.start_ns


def carry_at_ns(*, deadline_ns: int, lateness_ns: int, margins: HedgeMargins) -> int:
    """The last moment at which an older result can still be moved forward in time.

    ``lateness_ns``: how late this host may wake who asked to be woken.
    """
    return deadline_ns - min(margins.most_carry_ns, max(margins.carry_ns, lateness_ns))


def is_worth_starting(*, now_ns: int, deadline_ns: int, local_p50_ns: int) -> bool:
    """Whether a local run begun now would usually end in time; if not, the slot is better kept for the next."""
    return now_ns + local_p50_ns <= deadline_ns
