"""Pure core: what a headset in the world said of its frames before they left.

The chance of the worker's answer alone, and when a run of its own would begin at the latest.
"""

from edge_node.decide import Decision, LinkView
from edge_node.decisions import Decisions
from edge_node.flight import Flight


class Said(Decisions):
    """Decisions that are remembered as ever, and two figures of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.p_remote: dict[int, float] = {}
        self.hedge_in_ns: list[int] = []  # after capture, one per frame

    def note(self, flight: Flight, view: LinkView, decision: Decision, *, policy: str) -> None:
        """Remember one."""
        super().note(flight, view, decision, policy=policy)
        if view.offload is not None:
            self.p_remote[flight.frame_id] = view.offload.p_at(view.deadline_ns - view.now_ns)
        if view.local is not None:
            self.hedge_in_ns.append(view.local.hedge_at_ns - flight.scheduled_ns)
