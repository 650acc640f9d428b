"""Pure core: which operators of a model stay float, found by measuring as few variants as possible.

An int8 model loses most where values are few or their range is odd: in the first layers and in the heads. First
the tail grows until the outputs agree, then each output's own head shrinks as far as they still do, then the stem.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from inference.gate.agreement import OutputAgreement

Measure = Callable[["FloatEnds"], Sequence[OutputAgreement]]
Cones = tuple[tuple[int, ...], ...]


class Step(Protocol):
    """An operator of either format: tensors in, tensors out, by index."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Tensors that it reads."""
        ...

    @property
    def outputs(self) -> tuple[int, ...]:
        """Tensors that it writes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatEnds:
    """Operators that stay float: ``stem`` at the start of the execution order, ``tail`` at its end.

    ``heads``: per output, how many of the tail's operators that lead to it stay float, the last ones; empty means
    the whole tail.
    """

    stem: int
    tail: int
    heads: tuple[int, ...] = ()

    def operators(self, count: int, cones: Cones = ()) -> tuple[int, ...]:
        """Indices of the float operators in a graph of ``count``; ``cones`` as of ``cones_of``."""
        stem = range(min(self.stem, count))
        tail = range(max(count - self.tail, self.stem), count)
        if not self.heads:
            return (*stem, *tail)
        kept = {
            index
            for cone, head in zip(cones, self.heads, strict=True)
            for index in _within(cone, tail)[len(_within(cone, tail)) - head :]
        }
        return (*stem, *sorted(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBounds:
    """How far the search goes.

    ``max_stem`` and ``max_tail``: most operators that may stay float at either end. ``margin``: share of each
    tolerance to reach on calibration photos, so that unseen photos pass too, or ``slack`` times what the longest
    ends reach where that is more.
    """

    max_stem: int
    max_tail: int
    margin: float
    slack: float


def cones_of(steps: Sequence[Step], outputs: Sequence[int], /) -> Cones:
    """Per output, the operators that it depends on, in execution order."""
    return tuple(_cone(steps, output) for output in outputs)


def find_ends(measure: Measure, /, *, count: int, cones: Cones, bounds: SearchBounds) -> FloatEnds:
    """The fewest float operators that agree as well as they must; the longest ends where nothing does."""
    nothing = FloatEnds(stem=0, tail=0)
    if all(not row.reasons and row.margin <= bounds.margin for row in measure(nothing)):
        return nothing
    # Together less than the whole, or a small model would stay float altogether.
    longest = FloatEnds(stem=min(bounds.max_stem, count // 4), tail=min(bounds.max_tail, count // 2))
    best = measure(longest)

    def agrees(ends: FloatEnds) -> bool:
        return all(
            not row.reasons and row.margin <= max(bounds.margin, bounds.slack * reached.margin)
            for row, reached in zip(measure(ends), best, strict=True)
        )

    # Halving: more float operators at an end only ever bring the outputs nearer.
    tail = bisect_left(range(longest.tail), True, key=lambda n: agrees(replace(longest, tail=n)))
    ends = _shorter_heads(replace(longest, tail=tail), agrees, count=count, cones=cones)
    stem = bisect_left(range(longest.stem), True, key=lambda n: agrees(replace(ends, stem=n)))
    return replace(ends, stem=stem)


def _shorter_heads(
    ends: FloatEnds, agrees: Callable[[FloatEnds], bool], *, count: int, cones: Cones
) -> FloatEnds:
    """Let what only some outputs need go back to int8, output by output, the longest head first."""
    tail = range(max(count - ends.tail, ends.stem), count)
    heads = [len(_within(cone, tail)) for cone in cones]
    if len(cones) < 2 or not any(heads):
        return ends
    for output in sorted(range(len(cones)), key=lambda n: -heads[n]):
        kept = tuple(heads)

        def suffices(length: int, *, kept: tuple[int, ...] = kept, output: int = output) -> bool:
            return agrees(replace(ends, heads=(*kept[:output], length, *kept[output + 1 :])))

        heads[output] = bisect_left(range(heads[output]), True, key=suffices)
    return replace(ends, heads=tuple(heads))


def _within(cone: tuple[int, ...], tail: range) -> list[int]:
    return [index for index in cone if index in tail]


def _cone(steps: Sequence[Step], output: int) -> tuple[int, ...]:
    wanted, found = {output}, []
    for index in range(len(steps) - 1, -1, -1):
        if wanted.intersection(steps[index].outputs):
            wanted.update(steps[index].inputs)
            found.append(index)
    return tuple(reversed(found))
