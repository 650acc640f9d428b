"""Work of a parity run: batches of pairs in child processes, two at a time, and what they found together.

A batch that crashes or hangs refuses its own pairs and nothing else.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from bench.parity_subjects import Route, Subject
from inference.parity.check import Pair, ParityReport
from inference.parity.child import places_in_child

CHILDREN = 2
BATCH_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pairs of one model on some of its routes."""

    subject: Subject
    routes: tuple[Route, ...]
    pairs: tuple[Pair, ...]


@dataclass(kw_only=True)
class Found:
    """What one model on one route was found to do."""

    tried: set[Pair] = field(default_factory=set)
    differing: set[Pair] = field(default_factory=set)
    max_difference: float = 0.0
    max_share: float = 0.0
    stock_difference: float | None = None
    fingerprints: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    refused: set[str] = field(default_factory=set)

    def add(self, pairs: Iterable[Pair], report: ParityReport) -> None:
        """Take in a batch. Pairs of a batch that was refused count as tried and not exact."""
        self.tried.update(pairs)
        self.differing.update(pairs if report.refused else report.differing)
        self.max_difference = max(self.max_difference, report.max_difference)
        self.max_share = max(self.max_share, report.max_share)
        if report.stock_difference is not None:
            self.stock_difference = max(report.stock_difference, self.stock_difference or 0.0)
        self.fingerprints = self.fingerprints or report.fingerprints
        self.witnesses = self.witnesses or report.witnesses
        if report.refused:
            self.refused.add(report.refused)

    def count(self, pairs: Iterable[Pair]) -> tuple[int, int]:
        """How many of these were tried, and how many of them were exact."""
        tried = self.tried.intersection(pairs)
        return len(tried), len(tried - self.differing)


Findings = dict[tuple[Subject, str], Found]


def batches(subject: Subject, pairs: Sequence[Pair], *, routes: Sequence[Route], size: int) -> list[Batch]:
    """Cut the work on one model into batches; pairs rise, so that heads are run once each."""
    ordered = sorted(pairs)
    return [
        Batch(subject=subject, routes=tuple(routes), pairs=tuple(ordered[first : first + size]))
        for first in range(0, len(ordered), size)
    ]


def work_off(
    todo: Sequence[Batch], findings: Findings, *, tell: Callable[[Batch], None]
) -> dict[Subject, float]:
    """Run batches, the first ones first; gives the seconds that each model's children took together."""
    seconds = dict.fromkeys((batch.subject for batch in todo), 0.0)
    with ThreadPoolExecutor(CHILDREN) as pool:
        running = {pool.submit(_run, batch): batch for batch in todo}
        for done in as_completed(running):
            batch = running[done]
            reports, took = done.result()
            seconds[batch.subject] += took
            for route, report in zip(batch.routes, reports, strict=True):
                findings.setdefault((batch.subject, route.words), Found()).add(batch.pairs, report)
            tell(batch)
    return seconds


def _run(batch: Batch) -> tuple[tuple[ParityReport, ...], float]:
    start = time.monotonic()
    reports = places_in_child(
        batch.subject.path,
        batch.pairs,
        [route.places for route in batch.routes],
        shapes=batch.subject.shapes,
        canary_count=batch.subject.canary_count,
        timeout_s=BATCH_TIMEOUT_S,
    )
    return reports, time.monotonic() - start


def steps_within(costs: dict[Subject, float], budget_s: float) -> dict[Subject, int]:
    """Each model's share of work so that all fits the budget: 1 takes all of it, 3 every third.

    Small models are done whole; what they leave is shared evenly by the large ones.
    """
    left, steps = budget_s, {}
    waiting = sorted(costs, key=lambda subject: costs[subject])
    while waiting:
        subject = waiting.pop(0)
        share = max(left, 0.0) / (len(waiting) + 1)
        cost = costs[subject]
        steps[subject] = (
            1 if cost <= share else min(_MAX_STEP, -(-int(cost * 1000) // max(int(share * 1000), 1)))
        )
        left -= cost / steps[subject]
    return steps


_MAX_STEP = 25  # at least every 25th cut is tried, whatever the budget
