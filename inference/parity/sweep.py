"""Shell: parity over many pairs of cuts, a batch to a child process, so that a crash costs one batch.

Refuses nothing itself; what a batch refuses stands in the report of all.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inference.parity.check import KernelPath, Pair, ParityReport
from inference.parity.child import parity_in_child

BATCH_PAIRS = 24
BATCH_TIMEOUT_S = 600.0


def sweep(
    model: Path,
    pairs: Sequence[Pair],
    /,
    *,
    device: KernelPath,
    worker: KernelPath,
    shapes: Mapping[str, tuple[int, ...]],
    hear: Callable[[int], None] = lambda _pairs: None,
) -> ParityReport:
    """Check every pair; ``hear`` is told after each batch how many pairs it had."""
    reports = []
    for first in range(0, len(pairs), BATCH_PAIRS):
        batch = pairs[first : first + BATCH_PAIRS]
        reports.append(
            parity_in_child(
                model, batch, device=device, worker=worker, shapes=shapes, timeout_s=BATCH_TIMEOUT_S
            )
        )
        hear(len(batch))
    return _joined(reports)


def _joined(reports: Sequence[ParityReport]) -> ParityReport:
    stock = [report.stock_difference for report in reports if report.stock_difference is not None]
    return ParityReport(
        pairs=sum(report.pairs for report in reports),
        exact=sum(report.exact for report in reports),
        max_difference=max((report.max_difference for report in reports), default=0.0),
        max_share=max((report.max_share for report in reports), default=0.0),
        differing=tuple(pair for report in reports for pair in report.differing),
        stock_difference=max(stock, default=None),
        fingerprints=next((report.fingerprints for report in reports if report.fingerprints), ()),
        witnesses=next((report.witnesses for report in reports if report.witnesses), ()),
        refused="; ".join(sorted({report.refused for report in reports} - {""})),
        unfinished=any(report.unfinished for report in reports),
    )
