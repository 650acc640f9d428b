"""Pure core: the plain policies: never leave, always leave, the practice rule, and an operator's own placement.

Going up is slow, going down is immediate: a frame sent in vain costs a deadline, a frame kept costs only quality.
"""

from edge_node.policies.base import (
    NS_PER_MS,
    TOO_LATE_FOR_PARTS,
    Decision,
    LinkView,
    Path,
    blocked_by,
    stay,
    unproved,
)
from schemas.documents import SplitConfig


class LocalPolicy:
    """Never leaves the headset."""

    def __init__(self, config: SplitConfig) -> None:
        del config  # nothing to set

    def decide(self, view: LinkView) -> Decision:
        """Always local."""
        del view
        return stay("policy local")

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
        if blocked := blocked_by(view):
            return stay(blocked)
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
        if blocked := blocked_by(view):
            self._fall(blocked)
        if self._up:
            return Decision(
                path=Path.OFFLOAD, worker=view.worker, reason=f"{self._good} good probes in a row"
            )
        return stay(f"{self._fell}; {self._good} of {self._needed} good probes since")

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
            return stay("the link is not ready")
        if not view.pairs:
            return stay("the model is not cut at this placement: deploy one that its positions belong to")
        first = view.pairs[0]
        if reason := first.part.reason:
            return Decision(path=Path.LOCAL, worker=None, reason=reason, unproved=unproved((first,)))
        if first.too_late:
            return stay(TOO_LATE_FOR_PARTS)
        return Decision(
            path=Path.SPLIT, worker=first.part.worker, reason=self._said, placement=first.placement
        )

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest."""

    def on_loss(self, reason: str) -> None:
        """Of no interest: a worker that did not answer rests, and meanwhile there is nobody to split with."""

    def wants_probes(self) -> bool:
        """Never: the frames themselves are the probes."""
        return False
