"""Pure core: two policies to compare with, both of which compute many frames twice.

``always-duplicate`` (MDInference, Ogden 2020) bounds what any policy can hit, and what it can waste. ``p95-hedge``
(Dean and Barroso, The Tail at Scale, 2013) starts the second try when 95 of 100 replies would have come.
"""

from edge_node.policies.base import Decision, LinkView, Path, blocked_by, stay
from schemas.documents import SplitConfig


class AlwaysDuplicatePolicy:
    """Computes every frame here, and at a worker too whenever one can be reached."""

    def __init__(self, config: SplitConfig) -> None:
        del config  # nothing to set

    def decide(self, view: LinkView) -> Decision:
        """Both at once."""
        if blocked := blocked_by(view):
            return stay(blocked)
        return Decision(
            path=Path.OFFLOAD, worker=view.worker, reason="policy always-duplicate", duplicate=True
        )

    def on_rtt(self, rtt_ns: int, *, probe: bool) -> None:
        """Of no interest."""

    def on_loss(self, reason: str) -> None:
        """Of no interest."""

    def wants_probes(self) -> bool:
        """Never: the frames themselves are the probes."""
        return False


class P95HedgePolicy(AlwaysDuplicatePolicy):
    """Leaves whenever it can; computes here when 95 of 100 replies would have come."""

    def decide(self, view: LinkView) -> Decision:
        """Offload, with the time of the second try."""
        if blocked := blocked_by(view):
            return stay(blocked)
        known = view.offload is not None and view.offload.samples > 0
        p95_ns = view.offload.at(0.95) if view.offload is not None and known else 0
        return Decision(
            path=Path.OFFLOAD,
            worker=view.worker,
            reason="policy p95-hedge",
            hedge_at_ns=min(view.now_ns + p95_ns, view.deadline_ns),
        )
