"""Vocabulary: how a link behaves over time, as a person would write it: milliseconds, seconds, bytes per second.

Nothing here draws, waits or reads files; every value is checked when it is made, so a model never meets a bad one.
Times count from the moment the model starts. Rates count payload bytes; headers are not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from headway.errors import HeadwayError
from headway.link_jitter import JITTERS

OPPORTUNITY_BYTES = 1500


class LinkSpecError(HeadwayError):
    """A link was described with a value that no link has."""


def _least(name: str, value: float, least: float) -> None:
    if not least <= value < float("inf"):
        raise LinkSpecError(f"{name} is {value}: write a number of at least {least:g}")


class Direction(str, Enum):
    """Up is from the headset towards the broker."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """Extra delay that changes all the time: a named distribution (see `JITTERS`) with this mean."""

    kind: str = "none"
    mean_ms: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.kind not in JITTERS:
            raise LinkSpecError(f"jitter kind {self.kind!r} is unknown: write one of {', '.join(JITTERS)}")
        _least("mean_ms", self.mean_ms, 0.0)


NO_JITTER = Jitter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One direction: constant delay, jitter, rate (None: as fast as it goes) and the share of lost segments."""

    delay_ms: float = 0.0
    jitter: Jitter = NO_JITTER
    rate_bytes_per_s: float | None = None
    loss: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        _least("delay_ms", self.delay_ms, 0.0)
        if self.rate_bytes_per_s is not None and not 0 < self.rate_bytes_per_s < float("inf"):
            raise LinkSpecError(
                f"rate_bytes_per_s is {self.rate_bytes_per_s}: write a rate above 0, or a stall for none"
            )
        if not 0 <= self.loss < 1:
            raise LinkSpecError(f"loss is {self.loss}: write a share from 0 to below 1, or a cut for all")


FREE_LEG = Leg()


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Both directions from ``at_s`` on, until the next phase."""

    at_s: float = 0.0
    up: Leg = FREE_LEG
    down: Leg = FREE_LEG

    def __post_init__(self) -> None:
        """Check the values."""
        _least("at_s", self.at_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time in which nothing moves in these directions; what waited flows when it ends."""

    at_s: float
    for_s: float
    directions: tuple[Direction, ...] = tuple(Direction)

    def __post_init__(self) -> None:
        """Check the values."""
        _least("at_s", self.at_s, 0.0)
        _least("for_s", self.for_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayTrace:
    """Recorded round trips, one per interval, played in a loop from ``start_s`` on; each direction gets half."""

    rtts_ms: tuple[float, ...]
    interval_s: float = 1.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.rtts_ms or min(self.rtts_ms) < 0:
            raise LinkSpecError("rtts_ms must hold at least one round trip, and none below 0")
        _least("start_s", self.start_s, 0.0)
        if not self.interval_s > 0:
            raise LinkSpecError(f"interval_s is {self.interval_s}: write the seconds between two round trips")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTrace:
    """The milliseconds at which 1500 bytes may leave, played in a loop as long as the last one."""

    opportunities_ms: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        times = self.opportunities_ms
        if not times or times[-1] <= 0 or times[0] < 0:
            raise LinkSpecError("opportunities_ms must hold times from 0 on and end after 0")
        if any(later < earlier for earlier, later in pairwise(times)):
            raise LinkSpecError("opportunities_ms must not go back in time: sort the trace")

    @property
    def mean_bytes_per_s(self) -> float:
        """The rate that the whole loop allows."""
        return len(self.opportunities_ms) * OPPORTUNITY_BYTES * 1000 / self.opportunities_ms[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """A link over time. A trace's delay comes on top of the phases'; deliveries stand for that direction's rate.

    Cuts are stalls of both directions that also keep new connections out.
    """

    phases: tuple[Phase, ...] = (Phase(),)
    stalls: tuple[Window, ...] = ()
    cuts: tuple[Window, ...] = ()
    trace: DelayTrace | None = None
    up_deliveries: DeliveryTrace | None = None
    down_deliveries: DeliveryTrace | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        times = [phase.at_s for phase in self.phases]
        if not times or times[0] != 0 or times != sorted(set(times)):
            raise LinkSpecError(f"phases begin at {times}: start the first at 0 and each later one later")
        if any(cut.directions != tuple(Direction) for cut in self.cuts):
            raise LinkSpecError("a cut takes both directions: write a stall for one of them")

    @classmethod
    def even(
        cls,
        *,
        delay_ms: float = 0.0,
        jitter: Jitter = NO_JITTER,
        up_bytes_per_s: float | None = None,
        down_bytes_per_s: float | None = None,
        loss: float = 0.0,
        stalls: tuple[Window, ...] = (),
        cuts: tuple[Window, ...] = (),
        trace: DelayTrace | None = None,
    ) -> LinkSpec:
        """A link that stays as it is, alike in both directions but for the rates."""
        up = Leg(delay_ms=delay_ms, jitter=jitter, rate_bytes_per_s=up_bytes_per_s, loss=loss)
        down = Leg(delay_ms=delay_ms, jitter=jitter, rate_bytes_per_s=down_bytes_per_s, loss=loss)
        return cls(phases=(Phase(up=up, down=down),), stalls=stalls, cuts=cuts, trace=trace)
