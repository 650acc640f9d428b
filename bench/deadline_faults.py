"""Pure core: which fault comes when in a real run, and what of it a frame was scheduled in. No clock, no processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

AFTERMATH_NS = 3_000_000_000  # sessions dial again and the worker comes back
NONE = "none"


class Fault(str, Enum):
    """What goes wrong."""

    BROKER_KILLED = "broker_killed"
    BROKER_FROZEN = "broker_frozen"
    WORKER_KILLED = "worker_killed"
    BLACK_HOLE = "black_hole"
    STALL = "stall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One fault of a cycle. ``headset`` is an index where only that one's link suffers: the next one's a cycle later."""

    at_s: float
    fault: Fault
    for_s: float
    headset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A fault that happened, on the host's monotonic clock."""

    fault: Fault
    begin_ns: int
    end_ns: int
    headset: str | None


# The stall is long and one headset's alone, so the black hole of another and the frozen broker lie beside it.
CYCLE: tuple[Cue, ...] = (
    Cue(at_s=3.0, fault=Fault.BROKER_KILLED, for_s=0.0),
    Cue(at_s=9.0, fault=Fault.WORKER_KILLED, for_s=1.0),
    Cue(at_s=16.0, fault=Fault.BROKER_FROZEN, for_s=3.0),
    Cue(at_s=24.0, fault=Fault.BLACK_HOLE, for_s=3.0, headset=0),
    Cue(at_s=25.0, fault=Fault.STALL, for_s=10.0, headset=1),
)
CYCLE_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A fault that begins or ends."""

    at_s: float
    cue: Cue
    begins: bool


def deeds(cycle: Sequence[Cue], *, seconds: float, cycle_s: float = CYCLE_S, headsets: int = 1) -> list[Deed]:
    """Everything to do in a run of so many seconds, in order; only whole cycles are played."""
    found = []
    for turn in range(int(seconds // cycle_s)):
        for asked in cycle:
            begin_s = turn * cycle_s + asked.at_s
            turned = None if asked.headset is None else (asked.headset + turn) % headsets
            cue = replace(asked, headset=turned)
            found.append(Deed(at_s=begin_s, cue=cue, begins=True))
            found.append(Deed(at_s=begin_s + cue.for_s, cue=cue, begins=False))
    return sorted(found, key=lambda deed: (deed.at_s, not deed.begins))


def fault_at(windows: Iterable[Window], *, headset: str, at_ns: int) -> str:
    """The fault, its aftermath included, that a frame of this moment was scheduled in; the newest where several are."""
    found = [
        window
        for window in windows
        if window.headset in (None, headset) and window.begin_ns <= at_ns < window.end_ns + AFTERMATH_NS
    ]
    return max(found, key=lambda window: window.begin_ns).fault.value if found else NONE
