"""Core of the check whether a model in parts answers as it does in one piece, byte for byte.

The whole is the file with its constants folded, which is what parts are cut from. Engines choose kernels by
whether weights are stored or computed, so the file as it came may be another kernel path: that is reported apart.
Opens every part on the kernel path it would run on. Counts and measures, decides nothing: whoever uses a
placement compares the report with its bound. A model or part that cannot be checked is reported as refused, with
the reason. ``parity_child`` runs the same check where a crash harms nobody.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference.errors import InferenceError
from inference.fingerprint import CANARY_COUNT, canaries_for, split_fingerprint
from inference.flow import Cut
from inference.placed import open_part, run_whole
from inference.runtimes.base import Array, Runtime
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split import SplitModel, split_model

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPath:
    """Where a part runs: an engine as it is opened."""

    runtime: str = "litert"
    options: RuntimeOptions = field(default_factory=RuntimeOptions)
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """How a model in parts compares with the whole.

    ``max_difference`` is the largest absolute difference of any output value, in the output's own units;
    ``differing`` are the pairs that are not exact; ``stock_difference`` is that of the file as it came from the
    whole with its constants folded, None where no byte differs; ``fingerprints`` are those of that whole on the
    device's and on the worker's path; ``refused`` says why nothing, or not everything, was checked, and is empty otherwise.
    """

    pairs: int = 0
    exact: int = 0
    max_difference: float = 0.0
    differing: tuple[Pair, ...] = ()
    stock_difference: float | None = None
    fingerprints: tuple[str, ...] = ()
    refused: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything was checked and every byte was the same."""
        return not self.refused and self.exact == self.pairs


def cut_pairs(cuts: Sequence[Cut], /) -> tuple[Pair, ...]:
    """Every legal cut as a pair: head on the device, all behind it on the worker."""
    last = cuts[-1].position
    return tuple((cut.position, last) for cut in cuts if cut.position < last)


def random_pairs(cuts: Sequence[Cut], /, *, count: int, seed: int) -> tuple[Pair, ...]:
    """Pairs of legal cuts drawn without repetition, fewer where there are not as many; rising order."""
    positions = [cut.position for cut in cuts]
    every = [(start, end) for start in positions for end in positions if start < end]
    return tuple(sorted(random.Random(seed).sample(every, min(count, len(every)))))  # noqa: S311 - a sample


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
    try:
        split = split_model(model.read_bytes(), shapes=shapes)
        canaries = canaries or canaries_for(split.flow, count=canary_count)
        check = _Check(split, model, device=device, worker=worker or device, canaries=canaries)
    except (InferenceError, OSError) as error:
        return ParityReport(refused=str(error))
    differing: list[Pair] = []
    worst = 0.0
    for done, pair in enumerate(pairs):
        if before is not None:
            before(pair)
        try:
            exact, difference = check.compare(pair)
        except InferenceError as error:
            return ParityReport(
                pairs=len(pairs),
                exact=done - len(differing),
                max_difference=worst,
                differing=tuple(differing),
                stock_difference=check.stock_difference,
                fingerprints=check.fingerprints,
                refused=f"pair {pair[0]}, {pair[1]}: {error}",
            )
        worst = max(worst, difference)
        if not exact:
            differing.append(pair)
    return ParityReport(
        pairs=len(pairs),
        exact=len(pairs) - len(differing),
        max_difference=worst,
        differing=tuple(differing),
        stock_difference=check.stock_difference,
        fingerprints=check.fingerprints,
    )


class _Check:
    """One model with its reference answers."""

    def __init__(
        self,
        split: SplitModel,
        path: Path,
        *,
        device: KernelPath,
        worker: KernelPath,
        canaries: Sequence[Sequence[Array]],
    ) -> None:
        self._split = split
        self._last = len(split.flow.operators)
        self._places = (device, worker, device)
        self._canaries = canaries
        self._inputs = [split.flow.tensors[index].name for index in split.flow.inputs]
        self._outputs = [split.flow.tensors[index].name for index in split.flow.outputs]
        self._expected = self._answers(((0, self._last), (0, 0), (0, 0)))
        with closing(_engine(device).load(path, threads=device.threads)) as stock:
            given = [stock.run(canary) for canary in self._canaries]
        same, apart = _compare(given, self._expected)
        self.stock_difference = None if same else apart
        self.fingerprints = tuple(
            split_fingerprint(split, runtime=_engine(place), threads=place.threads, canaries=self._canaries)
            for place in (device, worker)
        )

    def compare(self, pair: Pair) -> tuple[bool, float]:
        """Whether all bytes are the same, and the largest difference of values."""
        start, end = pair
        return _compare(self._answers(((0, start), (start, end), (end, self._last))), self._expected)

    def _answers(self, borders: Sequence[Pair]) -> list[tuple[Array, ...]]:
        with ExitStack() as stack:
            parts = []
            for (low, high), place in zip(borders, self._places, strict=True):
                if low < high:
                    part = open_part(self._split, low, high, runtime=_engine(place), threads=place.threads)
                    stack.callback(part.close)
                    parts.append(part)
            rows = [
                run_whole(parts, dict(zip(self._inputs, canary, strict=True))) for canary in self._canaries
            ]
        return [tuple(row[name] for name in self._outputs) for row in rows]


def _compare(got: Sequence[tuple[Array, ...]], wanted: Sequence[tuple[Array, ...]]) -> tuple[bool, float]:
    pairs = [pair for rows in zip(got, wanted, strict=True) for pair in zip(*rows, strict=True)]
    same = all(first.tobytes() == second.tobytes() for first, second in pairs)
    return same, max((difference(first, second) for first, second in pairs), default=0.0)


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


def _engine(place: KernelPath) -> Runtime:
    return open_runtime(place.runtime, options=place.options)
