"""Vocabulary of decisions: ways to compute a frame, what a policy may know, what it says. No policy is here.

Rows that are made anew for every frame are never changed afterwards, and yet not frozen: a frozen row takes three
times as long to make.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge_node.energy import Power
from edge_node.estimates.forecast import Forecast
from edge_node.vitals import Vitals
from schemas.placements import Placement

NS_PER_MS = 1_000_000
BYTES_PER_MB = 1e6
TOO_LATE_FOR_PARTS = "a whole run must begin before a head would be done: allow frames a longer deadline"


class Path(str, Enum):
    """How a frame got its answer."""

    LOCAL = "local"
    OFFLOAD = "offload"
    SPLIT = "split"
    CARRIED = "carried"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """Who can run the worker's part of a placement; ``reason`` says why nobody can, and is empty otherwise.

    ``worker`` with a reason is one who may be asked to prove the placement.
    """

    worker: str | None
    reason: str


@dataclass(slots=True, kw_only=True)
class LocalView:
    """A whole run on this headset: its chance to end in time begun now, and begun at ``hedge_at_ns``, the latest."""

    p_now: float
    p_hedged: float
    hedge_at_ns: int


@dataclass(slots=True, kw_only=True)
class ChipView:
    """How long a whole run takes the chip, usually, and what it draws meanwhile."""

    power: Power
    run_ns: int


@dataclass(slots=True, kw_only=True)
class PairView:
    """One pair of places at which the model was cut: who could run the part between, and what to expect of that.

    ``forecast``: of ``payload_bytes`` of live tensors sent now, where somebody proved it; then ``head_ns`` and
    ``tail_ns`` are what these take the chip, mostly. ``too_late``: a whole run would have to begin before the head is done.
    """

    placement: Placement
    part: PartView
    forecast: Forecast | None = None
    payload_bytes: int = 0
    head_ns: int = 0
    tail_ns: int = 0
    too_late: bool = False


@dataclass(slots=True, kw_only=True)
class Rung:
    """A picture of one JPEG quality for one worker: how large it would be, and what to expect of it sent now.

    ``worker``: empty for the view's.
    """

    quality: int
    payload_bytes: int
    forecast: Forecast
    worker: str = ""


@dataclass(slots=True, kw_only=True)
class LinkView:
    """What the policy may know of a frame, the headset, and the way out to the chosen worker.

    ``ready``: whether the session can be trusted. ``pairs``: where the engine was cut, the config's first one first.
    ``offloads``: what to expect of pictures sent now, the chosen worker first and the best quality first, and ``offload`` that of the first. ``critical``: a frame of a critical task.
    ``may_duplicate``: the budget has a duplicate left. ``vitals``: None until they were read.
    """

    worker: str | None
    ready: bool
    pairs: tuple[PairView, ...] = ()
    now_ns: int = 0
    deadline_ns: int = 0
    offload: Forecast | None = None
    local: LocalView | None = None
    offloads: tuple[Rung, ...] = ()
    chip: ChipView | None = None
    vitals: Vitals | None = None
    critical: bool = False
    may_duplicate: bool = False


@dataclass(slots=True, kw_only=True)
class Considered:
    """One candidate: its chance to answer from the frame's own pixels in time, and why it was not taken.

    ``p_remote`` is the chance of the worker's answer alone, after ``samples`` of the link; ``p_on_time`` counts the run
    here that stands behind it too. ``quality`` of its JPEG; ``placement`` of a split; ``energy_j`` on the headset; ``loss`` of quality, 0 to 1;
    the ``score`` is higher for better. Filled in while a frame is decided, never changed afterwards.
    """

    path: Path
    worker: str | None
    p_on_time: float
    why_not: str = ""
    quality: int | None = None
    placement: Placement | None = None
    energy_j: float = 0.0
    payload_bytes: int = 0
    score: float = 0.0
    p_remote: float = 0.0
    samples: int = 0
    loss: float = 0.0
    unsure: bool = False  # turned down for its chance

    @property
    def cost(self) -> float:
        """Megabytes sent."""
        return self.payload_bytes / BYTES_PER_MB


@dataclass(slots=True, kw_only=True)
class Decision:
    """Where one frame goes first. ``worker`` is set where it leaves, ``placement`` where it is split.

    ``duplicate``: begin a whole run here at once too; ``hedge_at_ns``: begin it then, if that is earlier than the
    latest safe start. ``quality`` of the JPEG that leaves;
    None for the configured one. ``energy_j`` on the headset, as expected. ``unproved``: pairs that somebody shall prove.
    ``considered``: what else was weighed.
    """

    path: Path
    worker: str | None
    reason: str
    placement: Placement | None = None
    unproved: tuple[PairView, ...] = ()
    duplicate: bool = False
    hedge_at_ns: int | None = None
    p_on_time: float | None = None
    quality: int | None = None
    energy_j: float | None = None
    considered: tuple[Considered, ...] = ()


class Policy(Protocol):
    """One way to decide. Round trips are transport times in nanoseconds, the worker's own work taken off."""

    def decide(self, view: LinkView) -> Decision:
        """Choose for the next frame."""

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """A reply came, to a probe or to a frame."""

    def on_loss(self, reason: str) -> None:
        """A reply is missing, or the worker refused."""

    def wants_probes(self) -> bool:
        """Whether pings should be sent now."""


def stay(reason: str) -> Decision:
    """Compute the frame here."""
    return Decision(path=Path.LOCAL, worker=None, reason=reason)


def unproved(pairs: Iterable[PairView]) -> tuple[PairView, ...]:
    """Those that nobody proved, though somebody may be asked to."""
    return tuple(pair for pair in pairs if pair.part.reason and pair.part.worker is not None)


def blocked_by(view: LinkView) -> str | None:
    """Why nobody could be reached at the moment; None where somebody can."""
    if view.worker is None:
        return "no worker is online"
    return None if view.ready else "the link is not ready"
