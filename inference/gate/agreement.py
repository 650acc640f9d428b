"""Pure core: how far a quantised model's outputs are from its float original's, and whether that is enough.

Every output must be covered by a rule. Refused with the reason: values that are not numbers, a score head
that died (never crosses its threshold where the float model does), outputs that collapsed (hardly vary, or
stick at the ends of their range, where the float model's do not), flipped decisions, and differences above
the rule's tolerances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError
from inference.gate.output_rules import Floats, OutputRule, Record
from inference.refusals import Reason

COLLAPSED_SPREAD_SHARE = 0.2
CLIPPED_SHARE = 0.05
CLIPPED_BEYOND = 0.25
LIVE_SPREAD = 1e-6
_SCORES = ("score", "scores")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAgreement:
    """What was measured for one rule; ``reasons`` is empty when it passed.

    ``samples`` counts what was compared: inputs, or rows of boxes, or live scores. ``margin`` is the worst of
    measured / tolerance: at most 1 when it passed.
    """

    name: str
    samples: int
    median: float
    p90: float
    max: float
    flips: int
    borderline_flips: int
    margin: float
    reasons: tuple[Reason, ...]

    def record(self) -> Record:
        """Flat form for manifests and reports; None where nothing could be measured."""
        measured = {"median": self.median, "p90": self.p90, "max": self.max}
        return {
            "samples": self.samples,
            **{key: value if np.isfinite(value) else None for key, value in measured.items()},
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
    whole = original[rule.output][counted], quantised[rule.output][counted]
    for whose, values in zip(("", " of the float original"), reversed(whole), strict=True):
        if not np.isfinite(values).all():
            detail = f"{rule.name}{whose} holds values that are not numbers"
            return _refused(rule, len(values), Reason("not_numbers", detail))
    ours, theirs = _chosen(_view(whole[0], rule), _view(whole[1], rule), whole[0], rule)
    if not ours.size:
        detail = f"{rule.name} has no held-back sample to judge it by"
        return _refused(rule, 0, Reason("not_judged", detail))
    distances = _distances(ours, theirs, rule)
    flips, borderline = _flips(ours, theirs, rule) if rule.kind in _SCORES else (0, 0)
    median, p90 = float(np.median(distances)), float(np.quantile(distances, 0.9))
    reasons = [*_dead(ours, theirs, rule), *_collapsed(ours, theirs, rule)]
    if flips > rule.flip_share * len(ours):
        reasons.append(Reason("flipped_decisions", f"{rule.name}, {flips} of {len(ours)} decisions flipped"))
    for what, measured, allowed in (("median", median, rule.median), ("p90", p90, rule.p90)):
        if measured > allowed:
            detail = f"{rule.name}, {what} difference {measured:.4f}, allowed are {allowed:.4f}"
            reasons.append(Reason("disagrees", detail))
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
    rows = values.size // (len(values) * width) if values.size else 0
    folded = values.reshape(len(values), rows, width)
    return folded if rule.columns is None else folded[:, :, slice(*rule.columns)]


def _chosen(ours: Floats, theirs: Floats, whole: Floats, rule: OutputRule) -> tuple[Floats, Floats]:
    """What counts of both sides: samples, or the rows or scores that are alive, each as a sample of its own."""
    if rule.kind == "scores":
        alive = np.maximum(ours, theirs) > rule.live
        return ours[alive].reshape(-1, 1, 1), theirs[alive].reshape(-1, 1, 1)
    if rule.kind != "boxes":
        return ours, theirs
    alive = np.ones(ours.shape[:2], np.bool_)
    if rule.rows_above is not None:
        column, above = rule.rows_above
        alive = whole.reshape(*ours.shape[:2], -1)[:, :, column] > above
    return ours[alive][:, np.newaxis], theirs[alive][:, np.newaxis]


def _distances(ours: Floats, theirs: Floats, rule: OutputRule) -> Floats:
    """One relative or absolute difference per sample."""
    difference = np.abs(ours - theirs, dtype=np.float32)
    if rule.kind in _SCORES:
        return np.asarray(difference.reshape(len(ours), -1).max(axis=1))
    if rule.kind == "points":
        box = (ours.max(axis=1) - ours.min(axis=1)).max(axis=1)
        away = np.linalg.norm(ours - theirs, axis=2).mean(axis=1)
        return np.asarray(away / np.maximum(box, LIVE_SPREAD), np.float32)
    spread = ours.std(axis=(0, 1)) if rule.kind == "boxes" else ours.std()
    relative = difference / np.maximum(spread, np.float32(LIVE_SPREAD))
    return np.asarray(relative.reshape(len(ours), -1).mean(axis=1), np.float32)


def _flips(ours: Floats, theirs: Floats, rule: OutputRule) -> tuple[int, int]:
    flipped = (ours > rule.threshold) != (theirs > rule.threshold)
    unsure = np.abs(ours - rule.threshold) <= rule.borderline
    return int((flipped & ~unsure).any(axis=(1, 2)).sum()), int((flipped & unsure).any(axis=(1, 2)).sum())


def _dead(ours: Floats, theirs: Floats, rule: OutputRule) -> list[Reason]:
    if rule.kind not in _SCORES:
        return []
    above, below = ours > rule.threshold, ours < rule.threshold - rule.borderline
    where = f"{rule.threshold} where the float model is"
    if above.any() and not (theirs > rule.threshold).any():
        return [Reason("dead_scores", f"{rule.name} is never above {where}")]
    if below.any() and not (theirs < rule.threshold).any():
        return [Reason("dead_scores", f"{rule.name} is never below {where}")]
    return []


def _collapsed(ours: Floats, theirs: Floats, rule: OutputRule) -> list[Reason]:
    if rule.kind in _SCORES:
        return []
    word = "collapsed_boxes" if rule.kind == "boxes" else "collapsed_values"
    float_spread = ours.reshape(-1, ours.shape[2]).std(axis=0)
    spread = theirs.reshape(-1, theirs.shape[2]).std(axis=0)
    dead = (float_spread > LIVE_SPREAD) & (spread < COLLAPSED_SPREAD_SHARE * float_spread)
    if dead.any():
        return [Reason(word, f"{rule.name}, {int(dead.sum())} of {dead.size} columns hardly vary any more")]
    share = _clipped_share(ours, theirs)
    if share > CLIPPED_SHARE:
        return [Reason(word, f"{rule.name}, {share:.0%} of the values are stuck at an end of the int8 range")]
    return []


def _clipped_share(ours: Floats, theirs: Floats) -> float:
    """Share of values at the candidate's own extremes while the float model goes well beyond them."""
    beyond = CLIPPED_BEYOND * max(float(ours.std()), LIVE_SPREAD)
    low, high = theirs.min(), theirs.max()
    clipped = ((theirs == low) & (ours < low - beyond)) | ((theirs == high) & (ours > high + beyond))
    return float(clipped.mean())


def _refused(rule: OutputRule, samples: int, reason: Reason) -> OutputAgreement:
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
