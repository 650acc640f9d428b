"""Vocabulary and core: what each output of a quantised model must keep, and rules where a task has none.

Rules for a model without a task are read off its float original's answers: values between 0 and 1 are scores,
four columns before a score are boxes, all else are values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Record = dict[str, float | int | str | bool | None]
Floats = NDArray[np.float32]

_BOX = 4
_SURE = 0.3
_LIVE = 0.1
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """What one output, or some columns of it, must keep.

    ``kind``: ``score`` compares one probability a sample at ``threshold`` (tolerances are absolute differences);
    ``scores`` compares many, of which those count that either model holds for above ``live``;
    ``points`` compares positions, each sample relative to the longer side of its float box;
    ``boxes`` compares rows, each column relative to the float model's spread over all of them;
    ``values`` compares numbers relative to the float model's spread over all samples.
    ``group`` folds the last axis into rows of that many columns first, 0 leaves it. ``columns`` is a
    half-open range of the last axis. ``only_where`` names the output whose float score must exceed
    ``threshold`` for a sample to count; ``rows_above`` (column, score) is that for the rows of ``boxes``.
    A flip where the float score lies within ``borderline`` of the threshold is counted apart: the float model
    itself does not know there.
    """

    name: str
    output: int
    kind: Literal["score", "scores", "points", "boxes", "values"]
    median: float
    p90: float
    group: int = 0
    columns: tuple[int, int | None] | None = None
    only_where: int | None = None
    rows_above: tuple[int, float] | None = None
    threshold: float = 0.5
    live: float = _LIVE
    borderline: float = 0.05
    flip_share: float = 0.01


def detector_rules(output: int, /, *, name: str = "", sure: float | None = _SURE) -> tuple[OutputRule, ...]:
    """Rules of an output with rows of a box (four columns), a score, and a score per class.

    ``sure``: boxes count whose score exceeds it; None where the float model is sure of none.
    """
    dot = f"{name}." if name else ""
    boxes = OutputRule(
        name=f"{dot}boxes", output=output, kind="boxes", columns=(0, _BOX), median=0.1, p90=0.3
    )
    scores = OutputRule(
        name=f"{dot}scores",
        output=output,
        kind="scores",
        columns=(_BOX, None),
        median=0.05,
        p90=0.15,
        borderline=0.15,
    )
    if sure is None:
        return boxes, replace(scores, kind="values", median=0.1, p90=0.3)
    return replace(boxes, rows_above=(_BOX, sure)), scores


def generic_rules(original: Sequence[Floats], names: Sequence[str], /) -> tuple[OutputRule, ...]:
    """Rules for the outputs of a model that belongs to no known task, from its float answers (samples, …)."""
    return tuple(
        rule
        for index, (values, name) in enumerate(zip(original, names, strict=True))
        for rule in _rules_of(index, values, name)
    )


def _rules_of(index: int, values: Floats, name: str) -> tuple[OutputRule, ...]:
    columns = values.shape[-1] if values.ndim > 1 else 1
    if not values.size:
        return _values(index, name)
    if _are_scores(values):
        if values[0].size == 1:
            return (OutputRule(name=name, output=index, kind="score", median=0.05, p90=0.15),)
        if values.max() > _LIVE:
            return (
                OutputRule(name=name, output=index, kind="scores", median=0.05, p90=0.15, borderline=0.1),
            )
    if values.ndim > 2 and columns > _BOX + 1 and _are_scores(values[..., _BOX:]):
        sure = _SURE if values[..., _BOX].max() > _SURE else None
        return detector_rules(index, name=name, sure=sure)
    if values.ndim > 2 and columns == _BOX:
        return (OutputRule(name=name, output=index, kind="boxes", median=0.1, p90=0.3),)
    return _values(index, name)


def _values(index: int, name: str) -> tuple[OutputRule, ...]:
    return (OutputRule(name=name, output=index, kind="values", median=0.1, p90=0.3),)


def _are_scores(values: Floats) -> bool:
    return bool(values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING)
