"""Pure core: which worker pictures go to, or where the model is cut: as before, until another was better for a while.

At once where the one before promises too little, or is not among those who may be asked. Coming back soon is waited for
twice as long as the time before, so that two workers who are about as good are not played against each other: every move
leaves frames with the one before. Which way a frame takes (here, or to whoever stands here) is not decided here.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from edge_node.policies.base import Considered
from edge_node.policies.scoring import LEAST_SAMPLES, best_of
from schemas.placements import Placement

Place = str | Placement | None  # a worker, or where the model is cut

FIRST_HOLD_NS, MOST_HOLD_NS = 1_000_000_000, 32_000_000_000
CALM_NS = 30_000_000_000  # with one worker for so long, and the next move is quick again


class Berth:
    """``at``: what frames go to if they leave so; None before there was one. ``by`` names the field of rows that tells."""

    def __init__(self, *, by: str, says: str) -> None:
        self._of: Callable[[Considered], Place] = attrgetter(by)
        self._says = says  # to those turned down, before the name of the one taken
        self.at: Place = None
        self._since_ns = 0  # with this one
        self._hold_ns = FIRST_HOLD_NS
        self._wish: tuple[Place, int] = (None, 0)  # which is better, and since when

    def settle(
        self,
        rows: Sequence[Considered],
        *,
        floor: float,
        tolerance: float,
        margin: float,
        now_ns: int,
        in_use: bool = True,
    ) -> None:
        """Of rows that leave the same way: turn down those of every place but one.

        ``tolerance``: of chances that count as equal; ``margin``: of score, so much better another must be.
        ``in_use``: frames take this way; while none does, moving costs nothing.
        """
        of = self._of
        if not in_use:
            self.at = None
        if not rows or of(rows[0]) == of(rows[-1]):
            if rows and of(rows[0]) != self.at:
                self._go(of(rows[0]), now_ns)
            return
        champions = {
            place: best_of([row for row in rows if of(row) == place], tolerance=tolerance)
            for place in dict.fromkeys(map(of, rows))
        }
        here = champions.get(self.at)
        others = [
            row
            for place, row in champions.items()
            if place != self.at and row is not None and _promises(row, floor)
        ]
        other = best_of(others, tolerance=tolerance)
        if self.at not in champions:
            self._go(of(rows[0] if other is None else other), now_ns)
        elif other is not None:
            self._weigh(here, other, floor=floor, tolerance=tolerance, margin=margin, now_ns=now_ns)
        if champions.get(self.at) is not None:  # else what the others lack says more
            self._turn_down(rows)

    def _weigh(
        self,
        here: Considered | None,
        other: Considered,
        *,
        floor: float,
        tolerance: float,
        margin: float,
        now_ns: int,
    ) -> None:
        place = self._of(other)
        if here is None or not _promises(here, floor):
            self._go(place, now_ns)
            return
        surer = other.p_on_time > here.p_on_time + tolerance
        as_sure = other.p_on_time >= here.p_on_time - tolerance
        if not surer and not (as_sure and other.score > here.score + margin):
            self._wish = (None, 0)
        elif self._wish[0] != place:
            self._wish = (place, now_ns)
        elif now_ns - self._wish[1] >= self._held_ns(now_ns):
            self._go(place, now_ns)

    def _held_ns(self, now_ns: int) -> int:
        """How long another must be better."""
        return FIRST_HOLD_NS if now_ns - self._since_ns >= CALM_NS else self._hold_ns

    def _go(self, place: Place, now_ns: int) -> None:
        if self.at is not None:
            self._hold_ns = min(MOST_HOLD_NS, 2 * self._held_ns(now_ns))
        self.at, self._since_ns, self._wish = place, now_ns, (None, 0)

    def _turn_down(self, rows: Iterable[Considered]) -> None:
        for row in rows:
            if self._of(row) != self.at and not row.why_not:
                row.why_not = f"{self._says} {self.at}"


def _promises(row: Considered | None, floor: float) -> bool:
    return row is not None and row.samples >= LEAST_SAMPLES and row.p_remote >= floor
