"""Vocabulary of parity: where the parts of a model run, and how they compare with the whole."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from inference.graph.flow import Cut
from inference.runtimes.options import RuntimeOptions

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPath:
    """Where a part runs: an engine as it is opened."""

    runtime: str = "litert"
    options: RuntimeOptions = field(default_factory=RuntimeOptions)
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The two places of a placement: head and tail run on the device, what lies between on the worker."""

    device: KernelPath
    worker: KernelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """How a model in parts compares with the whole.

    ``max_difference`` is the largest absolute difference of any output value, in the output's own units, and
    ``max_share`` the largest as a share of the range that the output's values span in the whole;
    ``differing`` are the pairs that are not exact; ``stock_difference`` is that of the file as it came from the
    whole with its constants folded, None where no byte differs; ``fingerprints`` are those of that whole on the
    device's and on the worker's path, of its outputs, and ``witnesses`` of inner tensors too, which coarse outputs
    may hide; ``refused`` says why nothing, or not everything, was checked, and is empty
    otherwise; ``unfinished``: because the check ended before it came to a judgement, so that another may come to one.
    """

    pairs: int = 0
    exact: int = 0
    max_difference: float = 0.0
    max_share: float = 0.0
    differing: tuple[Pair, ...] = ()
    stock_difference: float | None = None
    fingerprints: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    refused: str = ""
    unfinished: bool = False

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
    # Numbers of pairs in rising order, because the pairs of a large model fill no list; ends[i]: those up to row i.
    ends = list(accumulate(len(positions) - 1 - row for row in range(len(positions))))
    numbers = random.Random(seed).sample(range(ends[-1]), min(count, ends[-1]))  # noqa: S311 - a sample
    rows = [(bisect_right(ends, number), number) for number in sorted(numbers)]
    return tuple((positions[row], positions[len(positions) - ends[row] + number]) for row, number in rows)
