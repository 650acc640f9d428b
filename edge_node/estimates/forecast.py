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
    overdue_ns: int | None = (
        None  # the link is silent, something is overdue by so much: ``errors`` are of such moments
    )
    errors: Picture  # of what was answered: by how much answers came later (or earlier) than they had been predicted
    legs: Legs | None = None
    p_refused: float = 0.0  # the chance that the worker will not

    @property
    def stalled(self) -> bool:
        """Whether something is overdue, and nothing else was heard meanwhile."""
        return self.overdue_ns is not None

    def p_at(self, budget_ns: int) -> float:
        """The probability that the answer is here within the budget."""
        if budget_ns <= 0:
            return 0.0
        slack_ns = budget_ns - self.predicted_ns
        prior = self._prior(slack_ns)
        share = self.errors.share_below(slack_ns, prior_share=prior)
        return (1.0 - self.p_refused) * (prior if share is None else share)

    def _prior(self, slack_ns: int) -> float:
        """Where little is known: a silence that has lasted so long lasts as long again in half of all cases (Lindy)."""
        if self.overdue_ns is None:
            return self.prior_on_time
        return 0.0 if slack_ns <= 0 else slack_ns / (slack_ns + self.overdue_ns)

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
