"""Pure core: giving a frame its one answer, fresh or carried, and remembering what was seen.

Owns the ledger and the tracker. Times are passed in. A late result still teaches the tracker; it never
changes an answer that was given.
"""

from dataclasses import dataclass

from edge_node.decide import Path
from edge_node.flight import Flight
from edge_node.outcome import Answer, Ledger
from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi
from inference.tasks.tracking import HandTracker

BEFORE_THE_FIRST = -1


@dataclass(slots=True, kw_only=True)
class Seen:
    """Where the newest result came from."""

    frame_id: int
    captured_ns: int
    model: str


class Answers:
    """What a headset saw last, and what it owes."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self._tracker = HandTracker()
        self._newest: Seen | None = None
        self._looked: tuple[int, tuple[Roi, ...]] | None = None  # regions last asked for, until more is seen

    @property
    def has_memory(self) -> bool:
        """Whether anything was ever seen, so that a frame can be answered without its own pixels."""
        return self._newest is not None

    def rois(self, flight: Flight) -> tuple[Roi, ...]:
        """Regions, in pixels of the frame, to look in first."""
        at_ns = flight.scheduled_ns
        if self._looked is None or self._looked[0] != at_ns:
            self._looked = (at_ns, self._tracker.rois(at_ns=at_ns))
        return self._looked[1]

    def prime(self, result: HandsResult, *, captured_ns: int, model: str) -> None:
        """Remember what was seen before the first frame was scheduled; it counts as frame -1."""
        self._tracker.update(result, captured_ns=captured_ns)
        self._looked = None
        self._newest = Seen(frame_id=BEFORE_THE_FIRST, captured_ns=captured_ns, model=model)

    def fresh(self, flight: Flight, result: HandsResult, *, path: Path, model: str, now_ns: int) -> None:
        """A valid result of this frame's own pixels."""
        self._tracker.update(result, captured_ns=flight.scheduled_ns)
        self._looked = None
        if self._newest is None or flight.scheduled_ns > self._newest.captured_ns:
            self._newest = Seen(frame_id=flight.frame_id, captured_ns=flight.scheduled_ns, model=model)
        answer = self.ledger.settle(
            flight.frame_id,
            now_ns=now_ns,
            path=path,
            result_frame_id=flight.frame_id,
            captured_ns=flight.scheduled_ns,
        )
        if answer is None:
            flight.wasted_runs += 1
            self.ledger.totals.wasted_runs += 1
        close(flight, answer, hands=result.hands, model=model)

    def carry(self, flight: Flight, *, now_ns: int) -> bool:
        """Answer with the newest result moved forward; False while nothing was ever seen."""
        if self._newest is None:
            return False
        seen = self._newest
        carried = self._tracker.carry(at_ns=flight.scheduled_ns)
        answer = self.ledger.settle(
            flight.frame_id,
            now_ns=now_ns,
            path=Path.CARRIED,
            result_frame_id=seen.frame_id,
            captured_ns=seen.captured_ns,
        )
        # memory fades: beyond the tracker's limit the honest answer is "no hand that I know of"
        close(flight, answer, hands=carried.hands if carried else (), model=seen.model)
        return True

    def give_up(self, flight: Flight, *, now_ns: int) -> None:
        """End a frame that nothing answered."""
        close(flight, self.ledger.give_up(flight.frame_id, now_ns=now_ns))


def close(flight: Flight, answer: Answer | None, *, hands: tuple[Hand, ...] = (), model: str = "") -> None:
    """Note a frame's answer; None, because it had one before, changes nothing."""
    if answer is not None:
        flight.answer, flight.hands, flight.model = answer, hands, model
