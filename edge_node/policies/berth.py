"""Pure core: which of several workers the pictures go to: the one before, until another was better for a while.

At once where the one before promises too little, or is not among those who may be asked. Coming back soon is waited for
twice as long as the time before, so that two workers who are about as good are not played against each other: every move
leaves frames with the one before. Which way a frame takes (here, or to whoever stands here) is not decided here.
"""

from collections.abc import Iterable, Sequence

from edge_node.policies.base import Considered
from edge_node.policies.scoring import LEAST_SAMPLES, best_of

FIRST_HOLD_NS, MOST_HOLD_NS = 1_000_000_000, 32_000_000_000
CALM_NS = 30_000_000_000  # with one worker for so long, and the next move is quick again


class Berth:
    """``worker``: whom pictures go to if they leave; None before there was one."""

    def __init__(self) -> None:
        self.worker: str | None = None
        self._since_ns = 0  # with this one
        self._hold_ns = FIRST_HOLD_NS
        self._wish: tuple[str | None, int] = (None, 0)  # who is better, and since when

    def settle(
        self, rows: Sequence[Considered], *, floor: float, tolerance: float, margin: float, now_ns: int
    ) -> None:
        """Of rows that leave as pictures: turn down those of every worker but one.

        ``tolerance``: of chances that count as equal; ``margin``: of score, so much better another must be.
        """
        if not rows or rows[0].worker == rows[-1].worker:
            if rows and rows[0].worker != self.worker:
                self._go(rows[0].worker, now_ns)
            return
        champions = {
            worker: best_of([row for row in rows if row.worker == worker], tolerance=tolerance)
            for worker in dict.fromkeys(row.worker for row in rows)
        }
        here = champions.get(self.worker)
        others = [
            row
            for worker, row in champions.items()
            if worker != self.worker and row is not None and _promises(row, floor)
        ]
        other = best_of(others, tolerance=tolerance)
        if self.worker not in champions:
            self._go(rows[0].worker if other is None else other.worker, now_ns)
        elif other is not None:
            self._weigh(here, other, floor=floor, tolerance=tolerance, margin=margin, now_ns=now_ns)
        _turn_down(rows, self.worker)

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
        if here is None or not _promises(here, floor):
            self._go(other.worker, now_ns)
            return
        surer = other.p_on_time > here.p_on_time + tolerance
        as_sure = other.p_on_time >= here.p_on_time - tolerance
        if not surer and not (as_sure and other.score > here.score + margin):
            self._wish = (None, 0)
        elif self._wish[0] != other.worker:
            self._wish = (other.worker, now_ns)
        elif now_ns - self._wish[1] >= self._held_ns(now_ns):
            self._go(other.worker, now_ns)

    def _held_ns(self, now_ns: int) -> int:
        """How long another must be better."""
        return FIRST_HOLD_NS if now_ns - self._since_ns >= CALM_NS else self._hold_ns

    def _go(self, worker: str | None, now_ns: int) -> None:
        if self.worker is not None:
            self._hold_ns = min(MOST_HOLD_NS, 2 * self._held_ns(now_ns))
        self.worker, self._since_ns, self._wish = worker, now_ns, (None, 0)


def _promises(row: Considered | None, floor: float) -> bool:
    return row is not None and row.samples >= LEAST_SAMPLES and row.p_remote >= floor


def _turn_down(rows: Iterable[Considered], worker: str | None) -> None:
    for row in rows:
        if row.worker != worker and not row.why_not:
            row.why_not = f"pictures go to {worker}"
