"""Pure core: how frames and local runs fare, which is what a new release is judged by."""

from dataclasses import dataclass

from edge_node.outcome import Outcome, Totals
from edge_node.perceive import EngineRuns


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``answered`` frames so far; local runs of the engine in place that ended well and that failed."""

    answered: int
    well: int
    failed: int


def health_of(totals: Totals, runs: EngineRuns | None) -> Health:
    """Sum up what was counted; no engine in place counts as no run."""
    return Health(
        answered=sum(totals.outcomes.values()) - totals.outcomes[Outcome.NONE],
        well=runs.well if runs else 0,
        failed=runs.failed if runs else 0,
    )
