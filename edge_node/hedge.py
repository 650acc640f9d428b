"""Pure core: until when a frame may wait for somebody else before the headset must help itself.

Times are monotonic nanoseconds. Thin on purpose: one rule, one margin for each of its two questions.
"""

from dataclasses import dataclass, field

TENTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeMargins:
    """What is kept free of a frame's time: after the slowest expected local run, and for answering.

    Both are a tenth of the frame's budget, or how late this host wakes if that is more. A tenth is never taken for
    more than ``start_ns`` and ``carry_ns``; a late host widens the first up to ``start_ns`` too, the second up to
    ``most_carry_ns`` or half of the budget: one pause of the host must not take the time of every frame after it.
    A result that is held already needs no tenth to answer: ``held_ns``, or the host's lateness.
    """

    start_ns: int = 10_000_000
    carry_ns: int = 10_000_000
    most_carry_ns: int = 40_000_000
    held_ns: int = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyLimits:
    """``waiting``: frames that may wait for the slot, the oldest goes first; ``patience_ns``: then none.

    ``evidence_ns``: so long a reply to a frame that has its answer is awaited, because it says what the link did.
    """

    waiting: int = 2
    patience_ns: int = 1_000_000_000
    evidence_ns: int = 2_000_000_000
    margins: HedgeMargins = field(default_factory=HedgeMargins)


def latest_local_start_ns(
    *, deadline_ns: int, budget_ns: int, local_p999_ns: int, lateness_ns: int, margins: HedgeMargins
) -> int:
    """The last moment at which a local run still ends in time."""
    margin_ns = min(margins.start_ns, max(budget_ns // TENTH, lateness_ns))
    return deadline_ns - local_p999_ns - margin_ns


def clear_of_captures_ns(latest_ns: int, *, local_ns: int, newest_capture_ns: int, interval_ns: int) -> int:
    """An earlier start for a run that would be in the way of one that begins at a capture, the newest or a later one.

    Captures are ``interval_ns`` apart. Runs that leave no time between two captures cannot be cleared: ``latest_ns``.
    """
    if not 0 < local_ns < interval_ns:
        return latest_ns
    after_ns = (latest_ns - newest_capture_ns) % interval_ns  # the capture before
    before_ns = latest_ns - after_ns
    if before_ns >= newest_capture_ns and after_ns < local_ns:
        return before_ns - local_ns
    return min(latest_ns, before_ns + interval_ns - local_ns)


def carry_at_ns(
    *, deadline_ns: int, budget_ns: int, lateness_ns: int, margins: HedgeMargins, held: bool = False
) -> int:
    """The last moment at which an older result can still be moved forward in time; or a ``held`` one taken in.

    ``lateness_ns``: how late this host may wake who asked to be woken.
    """
    least_ns = margins.held_ns if held else min(margins.carry_ns, budget_ns // TENTH)
    return deadline_ns - min(margins.most_carry_ns, budget_ns // 2, max(least_ns, lateness_ns))


def is_worth_starting(*, now_ns: int, deadline_ns: int, local_p50_ns: int) -> bool:
    """Whether a local run begun now would usually end in time; if not, the slot is better kept for the next."""
    return now_ns + local_p50_ns <= deadline_ns
