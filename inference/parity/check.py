"""Core of the check whether a model in parts answers as it does in one piece, byte for byte.

The whole is the file with its constants folded, which is what parts are cut from. Engines choose kernels by
whether weights are stored or computed, so the file as it came may be another kernel path: that is reported apart.
Opens every part on the kernel path it would run on. Counts and measures, decides nothing: whoever uses a
placement compares the report with its bound. A model or part that cannot be checked is reported as refused, with
the reason. ``parity.child`` runs the same check where a crash harms nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from inference.errors import InferenceError
from inference.parity.fingerprint import CANARY_COUNT, canaries_for
from inference.parity.report import KernelPath, Pair, ParityReport, Places, cut_pairs, random_pairs
from inference.parity.runs import Answers, PartRuns
from inference.runtimes.base import Array
from inference.split.model import split_model

__all__ = (
    "KernelPath",
    "Pair",
    "ParityReport",
    "Places",
    "check_parity",
    "check_places",
    "cut_pairs",
    "difference",
    "random_pairs",
)


def check_parity(
    model: Path,
    pairs: Sequence[Pair],
    /,
    *,
    device: KernelPath,
    worker: KernelPath | None = None,
    canaries: Sequence[Sequence[Array]] = (),
    canary_count: int = CANARY_COUNT,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    before: Callable[[Pair], None] | None = None,
) -> ParityReport:
    """Run ``[0, start)`` and ``[end, N)`` on the device's path, ``[start, end)`` on the worker's, for each pair.

    The reference is the whole on the device's path. ``worker`` is the same path where it is left out;
    ``canaries`` are the inputs; without, ``canary_count`` are made up. ``before`` hears each pair before it runs.
    """
    places = Places(device=device, worker=worker or device)
    (report,) = check_places(
        model,
        pairs,
        [places],
        canaries=canaries,
        canary_count=canary_count,
        shapes=shapes,
        before=before,
    )
    return report


def check_places(
    model: Path,
    pairs: Sequence[Pair],
    places: Sequence[Places],
    /,
    *,
    canaries: Sequence[Sequence[Array]] = (),
    canary_count: int = CANARY_COUNT,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    before: Callable[[Pair], None] | None = None,
) -> tuple[ParityReport, ...]:
    """``check_parity`` in several places at once, a report for each: parts are written once for all of them.

    A place that fails is refused from there on; the others go on. Rising starts save running heads again.
    """
    try:
        split = split_model(model.read_bytes(), shapes=shapes)
        canaries = canaries or canaries_for(split.flow, count=canary_count)
    except (InferenceError, OSError) as error:
        return (ParityReport(refused=str(error)),) * len(places)
    with closing(PartRuns(split, model, canaries=canaries)) as runs:
        tallies = [_Tally(runs, row) for row in places]
        for pair in pairs:
            if before is not None:
                before(pair)
            for tally in tallies:
                tally.count(pair)
        return tuple(tally.report(len(pairs)) for tally in tallies)


class _Tally:
    """What was found so far in one pair of places."""

    def __init__(self, runs: PartRuns, places: Places) -> None:
        self._runs = runs
        self._places = places
        self._done = 0
        self._differing: list[Pair] = []
        self._worst = (0.0, 0.0)
        self._fingerprints: tuple[str, ...] = ()
        self._witnesses: tuple[str, ...] = ()
        self._stock_difference: float | None = None
        self._refused = ""
        try:
            whole, other = runs.whole(places.device), runs.whole(places.worker)
        except InferenceError as error:
            self._refused = str(error)
            return
        self._expected = whole.folded
        self._fingerprints = (whole.fingerprint, other.fingerprint)
        self._witnesses = (whole.witness, other.witness)
        same, apart, _ = _compare(whole.stock, whole.folded)
        self._stock_difference = None if same else apart

    def count(self, pair: Pair) -> None:
        """Run one pair and compare; nothing after a refusal."""
        if self._refused:
            return
        try:
            same, *apart = _compare(self._runs.answers(pair, self._places), self._expected)
        except InferenceError as error:
            self._refused = f"pair {pair[0]}, {pair[1]}: {error}"
            return
        self._done += 1
        self._worst = (max(self._worst[0], apart[0]), max(self._worst[1], apart[1]))
        if not same:
            self._differing.append(pair)

    def report(self, asked: int) -> ParityReport:
        """The outcome over the pairs that were asked for; none where the whole was refused."""
        return ParityReport(
            pairs=asked if self._fingerprints else 0,
            exact=self._done - len(self._differing),
            max_difference=self._worst[0],
            max_share=self._worst[1],
            differing=tuple(self._differing),
            stock_difference=self._stock_difference,
            fingerprints=self._fingerprints,
            witnesses=self._witnesses,
            refused=self._refused,
        )


def _compare(got: Answers, wanted: Answers) -> tuple[bool, float, float]:
    """Whether all bytes are the same, the largest difference, and the largest as a share of an output's range."""
    pairs = [pair for rows in zip(got, wanted, strict=True) for pair in zip(*rows, strict=True)]
    if all(first.tobytes() == second.tobytes() for first, second in pairs):
        return True, 0.0, 0.0
    apart = [difference(first, second) for first, second in pairs]
    shares = [away / _span(second) if away else 0.0 for away, (_, second) in zip(apart, pairs, strict=True)]
    return False, max(apart), max(shares)


def difference(got: Array, wanted: Array, /) -> float:
    """Largest absolute difference of two arrays of one shape; infinite where one has no number there."""
    if got.shape != wanted.shape:
        return float("inf")
    first, second = got.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less itself, which `equal` covers
        apart = np.abs(first - second)
    equal = (first == second) | (np.isnan(first) & np.isnan(second))
    worst = float(np.max(np.where(equal, 0.0, apart), initial=0.0))
    return float("inf") if np.isnan(worst) else worst


def _span(values: Array) -> float:
    """How far apart the values lie; at least their own size, for outputs that hardly vary."""
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return 1.0
    return max(float(np.ptp(finite)), float(np.abs(finite).max()), float(np.finfo(np.float32).tiny))
