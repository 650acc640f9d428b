"""Pure core: where the next frame is computed, and why. Policies are rows in ``POLICIES``.

A policy is told what the link did (replies, probes, missing replies, refusals) and asked once per frame.
It reads no clock, sends nothing and knows no topic. Going up is slow, going down is immediate: a frame
sent in vain costs a deadline, a frame kept costs only quality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from schemas.documents import SplitConfig

NS_PER_MS = 1_000_000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """What the policy may know of the way out: the chosen worker and whether the session can be trusted.

    ``part`` is there for an engine that was cut.
    """

    worker: str | None
    ready: bool
    part: PartView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where one frame goes first. ``worker`` is set where it leaves; ``ask`` is who shall prove the placement."""

    path: Path
    worker: str | None
    reason: str
    ask: str | None = None


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


def _local(reason: str) -> Decision:
    return Decision(path=Path.LOCAL, worker=None, reason=reason)


def _blocked(view: LinkView) -> str | None:
    """Why nobody could be reached at the moment; None where somebody can."""
    if view.worker is None:
        return "no worker is online"
    return None if view.ready else "the link is not ready"


class LocalPolicy:
    """Never leaves the headset."""

    def __init__(self, config: SplitConfig) -> None:
        del config  # nothing to set

    def decide(self, view: LinkView) -> Decision:
        """Always local."""
        del view
        return _local("policy local")

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest."""

    def on_loss(self, reason: str) -> None:
        """Of no interest."""

    def wants_probes(self) -> bool:
        """Never."""
        return False


class OffloadPolicy:
    """Leaves the headset whenever a worker can be reached."""

    def __init__(self, config: SplitConfig) -> None:
        del config  # nothing to set

    def decide(self, view: LinkView) -> Decision:
        """Offload unless nobody can be reached."""
        if blocked := _blocked(view):
            return _local(blocked)
        return Decision(path=Path.OFFLOAD, worker=view.worker, reason="policy offload")

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest."""

    def on_loss(self, reason: str) -> None:
        """Of no interest."""

    def wants_probes(self) -> bool:
        """Never: the frames themselves are the probes."""
        return False


class RttThresholdPolicy:
    """The practice rule: stream while the round trip is short, else compute here.

    Down at once above the threshold or after a missing reply; up after ``up_probes`` good probes in a row,
    a probe being good below ``up_ratio`` times the threshold.
    """

    def __init__(self, config: SplitConfig) -> None:
        self._threshold_ns = round(config.rtt_threshold_ms * NS_PER_MS)
        self._good_ns = round(config.rtt_threshold_ms * config.up_ratio * NS_PER_MS)
        self._needed = config.up_probes
        self._good = 0
        self._up = False
        self._fell = "the start"

    def decide(self, view: LinkView) -> Decision:
        """Offload while up; a blocked link brings the policy down."""
        if blocked := _blocked(view):
            self._fall(blocked)
        if self._up:
            return Decision(
                path=Path.OFFLOAD, worker=view.worker, reason=f"{self._good} good probes in a row"
            )
        return _local(f"{self._fell}; {self._good} of {self._needed} good probes since")

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Fall above the threshold; count good probes while down."""
        if rtt_ns > self._threshold_ns:
            self._fall(f"rtt {rtt_ns / NS_PER_MS:.1f} ms is above {self._threshold_ns / NS_PER_MS:g} ms")
        elif probe and not self._up:
            self._climb(rtt_ns)

    def on_loss(self, reason: str) -> None:
        """Fall."""
        self._fall(reason)

    def wants_probes(self) -> bool:
        """While down."""
        return not self._up

    def _fall(self, reason: str) -> None:
        self._up, self._good, self._fell = False, 0, reason

    def _climb(self, rtt_ns: int) -> None:
        self._good = self._good + 1 if rtt_ns < self._good_ns else 0
        self._up = self._good >= self._needed


class SplitPolicy:
    """Computes head and tail here and the middle at a worker that proved the placement on the same kernels."""

    def __init__(self, config: SplitConfig) -> None:
        place = config.placement
        self._said = (
            "policy split" if place is None else f"policy split at {place.head_end}:{place.tail_start}"
        )

    def decide(self, view: LinkView) -> Decision:
        """Split where the placement was proved; else local, and let one be asked to prove it."""
        if not view.ready:
            return _local("the link is not ready")
        if view.part is None:
            return _local("the model is not cut at this placement: deploy one that its positions belong to")
        if view.part.reason:
            return Decision(path=Path.LOCAL, worker=None, reason=view.part.reason, ask=view.part.worker)
        return Decision(path=Path.SPLIT, worker=view.part.worker, reason=self._said)

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest."""

    def on_loss(self, reason: str) -> None:
        """Of no interest: a worker that did not answer rests, and meanwhile there is nobody to split with."""

    def wants_probes(self) -> bool:
        """Never: the frames themselves are the probes."""
        return False


POLICIES: dict[str, Callable[[SplitConfig], Policy]] = {
    "local": LocalPolicy,
    "offload": OffloadPolicy,
    "rtt-threshold": RttThresholdPolicy,
    "split": SplitPolicy,
}
