"""Pure core: how far a quantised model's outputs are from its float original's, and whether that is enough.

Every output must be covered by a rule. Refused with the reason: values that are not numbers, a score head
that died (never crosses its threshold where the float model does), outputs that collapsed (hardly vary, or
stick at the ends of their range, where the float model's do not), flipped decisions, and differences above the rule's tolerances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError

Record = dict[str, float | int | str | bool | None]
Floats = NDArray[np.float32]

COLLAPSED_SPREAD_SHARE = 0.2
CLIPPED_SHARE = 0.05
CLIPPED_BEYOND = 0.25
LIVE_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """What one output, or some columns of it, must keep.

    ``kind``: ``score`` compares probabilities at ``threshold`` (tolerances are absolute differences);
    ``points`` compares positions, each sample relative to the longer side of its float box;
    ``values`` compares numbers relative to the float model's spread over all samples.
    ``group`` folds the last axis into rows of that many columns first, 0 leaves it. ``columns`` is a
    half-open range of the last axis. ``only_where`` names the output whose float score must exceed
    ``threshold`` for a sample to count. A flip where the float score lies within ``borderline`` of the
    threshold is counted apart: the float model itself does not know there.
    """

    name: str
    output: int
    kind: Literal["score", "points", "values"]
    median: float
    p90: float
    group: int = 0
    columns: tuple[int, int] | None = None
    only_where: int | None = None
    threshold: float = 0.5
    borderline: float = 0.05
    flip_share: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAgreement:
    """What was measured for one rule; ``reasons`` is empty when it passed.

    ``margin`` is the worst of measured / tolerance: at most 1 when it passed.
    """

    name: str
    samples: int
    median: float
    p90: float
    max: float
    flips: int
    borderline_flips: int
    margin: float
    reasons: tuple[str, ...]

    def record(self) -> Record:
        """Flat form for manifests and reports."""
        return {
            "samples": self.samples,
            "median": self.median,
            "p90": self.p90,
            "max": self.max,
            "flips": self.flips,
            "borderline_flips": self.borderline_flips,
            "passed": not self.reasons,
        }


def compare(
    original: Sequence[Floats], quantised: Sequence[Floats], rules: Sequence[OutputRule], /
) -> tuple[OutputAgreement, ...]:
    """Compare stacked outputs, one array (samples, …) per output, under every rule.

    Raises:
        InferenceError: the two sides differ in shape, or an output has no rule.
    """
    shapes = [tuple(array.shape) for array in original], [tuple(array.shape) for array in quantised]
    if shapes[0] != shapes[1]:
        msg = f"outputs differ in shape ({shapes[0]} and {shapes[1]}): compare a model with its own original"
        raise InferenceError(msg)
    uncovered = set(range(len(original))) - {rule.output for rule in rules}
    if uncovered:
        msg = f"outputs {sorted(uncovered)} have no rule: every output must be covered, add rules for them"
        raise InferenceError(msg)
    return tuple(_compare_one(original, quantised, rule) for rule in rules)


def _compare_one(
    original: Sequence[Floats], quantised: Sequence[Floats], rule: OutputRule
) -> OutputAgreement:
    counted = _counted(original, rule)
    if not counted.any():
        return _refused(rule, 0, f"{rule.name}: no held-back sample to judge it by, add some")
    ours, theirs = _view(original[rule.output][counted], rule), _view(quantised[rule.output][counted], rule)
    if not np.isfinite(theirs).all():
        return _refused(
            rule, len(ours), f"{rule.name}: the quantised model answers values that are not numbers"
        )
    distances = _distances(ours, theirs, rule)
    flips, borderline = _flips(ours, theirs, rule) if rule.kind == "score" else (0, 0)
    median, p90 = float(np.median(distances)), float(np.quantile(distances, 0.9))
    reasons = [*_dead(ours, theirs, rule), *_collapsed(ours, theirs, rule)]
    if flips > rule.flip_share * len(ours):
        reasons.append(f"{rule.name}: {flips} of {len(ours)} decisions flipped")
    for what, measured, allowed in (("median", median, rule.median), ("p90", p90, rule.p90)):
        if measured > allowed:
            reasons.append(f"{rule.name}: {what} difference {measured:.4f}, allowed are {allowed:.4f}")
    return OutputAgreement(
        name=rule.name,
        samples=len(ours),
        median=median,
        p90=p90,
        max=float(distances.max()),
        flips=flips,
        borderline_flips=borderline,
        margin=max(median / rule.median, p90 / rule.p90),
        reasons=tuple(reasons),
    )


def _counted(original: Sequence[Floats], rule: OutputRule) -> NDArray[np.bool_]:
    samples = len(original[rule.output])
    if rule.only_where is None:
        return np.ones(samples, np.bool_)
    score = original[rule.only_where].reshape(samples, -1).max(axis=1)
    return np.asarray(score > rule.threshold)


def _view(values: Floats, rule: OutputRule) -> Floats:
    """The rule's part of an output as (samples, rows, columns)."""
    width = rule.group or (values.shape[-1] if values.ndim > 1 else 1)
    folded = values.reshape(len(values), -1, width)
    return folded if rule.columns is None else folded[:, :, slice(*rule.columns)]


def _distances(ours: Floats, theirs: Floats, rule: OutputRule) -> Floats:
    """One relative or absolute difference per sample."""
    difference = np.abs(ours - theirs, dtype=np.float32)
    if rule.kind == "score":
        return np.asarray(difference.reshape(len(ours), -1).max(axis=1))
    if rule.kind == "points":
        box = (ours.max(axis=1) - ours.min(axis=1)).max(axis=1)
        away = np.linalg.norm(ours - theirs, axis=2).mean(axis=1)
        return np.asarray(away / np.maximum(box, LIVE_SPREAD), np.float32)
    spread = max(float(ours.std()), LIVE_SPREAD)
    return np.asarray(difference.reshape(len(ours), -1).mean(axis=1) / spread, np.float32)


def _flips(ours: Floats, theirs: Floats, rule: OutputRule) -> tuple[int, int]:
    flipped = (ours > rule.threshold) != (theirs > rule.threshold)
    unsure = np.abs(ours - rule.threshold) <= rule.borderline
    return int((flipped & ~unsure).any(axis=(1, 2)).sum()), int((flipped & unsure).any(axis=(1, 2)).sum())


def _dead(ours: Floats, theirs: Floats, rule: OutputRule) -> list[str]:
    if rule.kind != "score":
        return []
    above, below = ours > rule.threshold, ours < rule.threshold - rule.borderline
    if above.any() and not (theirs > rule.threshold).any():
        return [f"{rule.name}: dead score head, never above {rule.threshold} where the float model is"]
    if below.any() and not (theirs < rule.threshold).any():
        return [f"{rule.name}: dead score head, never below {rule.threshold} where the float model is"]
    return []


def _collapsed(ours: Floats, theirs: Floats, rule: OutputRule) -> list[str]:
    if rule.kind == "score":
        return []
    float_spread = ours.reshape(-1, ours.shape[2]).std(axis=0)
    spread = theirs.reshape(-1, theirs.shape[2]).std(axis=0)
    dead = (float_spread > LIVE_SPREAD) & (spread < COLLAPSED_SPREAD_SHARE * float_spread)
    if dead.any():
        return [f"{rule.name}: collapsed, {int(dead.sum())} of {dead.size} columns hardly vary any more"]
    share = _clipped_share(ours, theirs)
    if share > CLIPPED_SHARE:
        return [f"{rule.name}: collapsed, {share:.0%} of the values are stuck at an end of the int8 range"]
    return []


def _clipped_share(ours: Floats, theirs: Floats) -> float:
    """Share of values at the candidate's own extremes while the float model goes well beyond them."""
    beyond = CLIPPED_BEYOND * max(float(ours.std()), LIVE_SPREAD)
    low, high = theirs.min(), theirs.max()
    clipped = ((theirs == low) & (ours < low - beyond)) | ((theirs == high) & (ours > high + beyond))
    return float(clipped.mean())


def _refused(rule: OutputRule, samples: int, reason: str) -> OutputAgreement:
    nowhere = float("inf")
    return OutputAgreement(
        name=rule.name,
        samples=samples,
        median=nowhere,
        p90=nowhere,
        max=nowhere,
        flips=0,
        borderline_flips=0,
        margin=nowhere,
        reasons=(reason,),
    )
