"""Pure core: what is to be expected of a frame sent now: a predicted time and the errors of earlier predictions."""

from dataclasses import dataclass

from edge_node.estimates.clock import Legs
from edge_node.estimates.sketch import NEVER_NS, Picture


@dataclass(slots=True, kw_only=True)
class Forecast:
    """When an answer will be here, counted from sending.

    ``samples``: how many replies and losses are behind it; with 0 only the prior speaks. ``legs``: of the newest
    reply that told the worker's times, for people.
    """

    predicted_ns: int
    samples: int
    prior_on_time: float
    stalled: (
        bool  # the link is silent and something overdue: ``errors`` are of requests that left at such moments
    )
    errors: Picture  # of what was answered: by how much answers came later (or earlier) than they had been predicted
    legs: Legs | None = None
    p_refused: float = 0.0  # the chance that the worker will not

    def p_at(self, budget_ns: int) -> float:
        """The probability that the answer is here within the budget."""
        if budget_ns <= 0:
            return 0.0
        share = self.errors.share_below(budget_ns - self.predicted_ns)
        return (1.0 - self.p_refused) * (self.prior_on_time if share is None else share)

    def at(self, fraction: float) -> int:
        """The time that this fraction of answers needs at most; ``NEVER_NS`` where that many do not come."""
        if fraction > 1.0 - self.p_refused:
            return NEVER_NS
        error_ns = self.errors.at(fraction / (1.0 - self.p_refused))
        if error_ns is None or error_ns == NEVER_NS:
            return NEVER_NS
        return max(0, self.predicted_ns + error_ns)

    @property
    def p50_ns(self) -> int:
        """Half of the answers need at most this; ``NEVER_NS`` with nothing known."""
        return self.at(0.5)

    @property
    def p90_ns(self) -> int:
        """Nine of ten answers need at most this."""
        return self.at(0.9)

    @property
    def p99_ns(self) -> int:
        """99 of 100 answers need at most this."""
        return self.at(0.99)
