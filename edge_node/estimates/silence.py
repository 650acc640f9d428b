"""Pure core: whether a route is silent though something should have been heard, since when, and what came of it before.

An answer that is a little overdue is mostly just late; a link that has said nothing for long is mostly gone. So what
leaves during a silence is judged by what left during silences of about the same length. Reads no clock.
"""

from bisect import bisect_right

from edge_node.estimates.sketch import DecayedSketch

HALF_LIFE_NS = 60_000_000_000  # silences are rarer than frames
LIMIT = 128
LENGTHS_NS = (
    25_000_000,
    100_000_000,
)  # overdue by less: a late answer, a short stall; by more: hardly a link
PATIENCE = 0.95  # of answers: what takes longer than this share of them is overdue
LEAST_PATIENCE_NS, MOST_PATIENCE_NS = 5_000_000, 100_000_000


class Silence:
    """Of one route. ``prior_weight``: so many samples what is believed of a silence counts beside those seen."""

    def __init__(self, *, prior_weight: float) -> None:
        self._heard_ns = 0
        self._took_ns = 0  # the newest answer
        self._lost_due_ns: int | None = None  # when what was lost was due; None once something was heard
        self._errors = tuple(
            DecayedSketch(HALF_LIFE_NS, LIMIT, prior_weight=prior_weight) for _ in range(len(LENGTHS_NS) + 1)
        )

    def heard(self, now_ns: int, *, took_ns: int | None = None) -> None:
        """Something came, so long after it was asked for."""
        self._heard_ns, self._lost_due_ns = now_ns, None
        if took_ns is not None:
            self._took_ns = took_ns

    def lost(self, *, sent_ns: int, predicted_ns: int) -> bool:
        """Something did not come; True where it was lost in the silence of the loss before: that is one stall."""
        if self._lost_due_ns is not None:
            return True
        if sent_ns >= self._heard_ns:
            self._lost_due_ns = sent_ns + predicted_ns
        return False

    def overdue_ns(self, oldest: tuple[int, int] | None, *, errors: DecayedSketch, now_ns: int) -> int | None:
        """How long nothing at all was heard since something was lost or due; None where nothing is overdue.

        ``oldest``: when the oldest open request left, and its predicted time. ``errors``: of such predictions.
        """
        if self._lost_due_ns is not None:
            return max(0, now_ns - self._lost_due_ns)
        if oldest is None:
            return None
        sent_ns, predicted_ns = oldest
        # where the newest answer took longer than predicted the next may too: that is another level, and no silence
        due_ns = max(predicted_ns, min(self._took_ns, MOST_PATIENCE_NS))
        overdue_ns = now_ns - max(self._heard_ns, sent_ns) - due_ns
        if overdue_ns <= LEAST_PATIENCE_NS:
            return None
        error_ns = errors.at(PATIENCE, now_ns=now_ns)
        patient = error_ns is None or overdue_ns <= min(error_ns, MOST_PATIENCE_NS)
        return None if patient else overdue_ns

    def errors(self, overdue_ns: int) -> DecayedSketch:
        """By how much predictions were off that were made after silences of about this length."""
        return self._errors[bisect_right(LENGTHS_NS, overdue_ns)]
