"""Core: the gate that an int8 model passes or not, judged beside its float original.

Every output is compared on inputs that it was not calibrated on; then the file itself: it must compute in int8,
be smaller and not be slower. All reasons are given, not the first. Nothing here opens a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.gate.agreement import OutputAgreement, compare
from inference.gate.answers import answers, encode_values
from inference.gate.output_rules import OutputRule, generic_rules
from inference.gate.speed import SpeedReport, measure_gain
from inference.refusals import Reason
from inference.runtimes.base import Array, Model, TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """What speed the gate asks for.

    ``min_gain``: least speed gain where the processor has an int8 dot product, ``min_gain_without``: where it
    has none: int8 may be as fast as float, less the noise of measuring. ``speed_turns``: runs of each model;
    0 leaves speed unjudged.
    """

    speed_turns: int = 30
    min_gain: float = 1.0
    min_gain_without: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What a candidate's file holds: operators that compute in int8, operators altogether, and its size."""

    int8_operators: int
    operators: int
    new_bytes: int
    old_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate measured; ``reasons`` is empty when the candidate is accepted. No speed where not judged."""

    agreement: tuple[OutputAgreement, ...]
    structure: Structure | None
    speed: SpeedReport | None
    samples: int
    reasons: tuple[Reason, ...]

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    def view(self) -> dict[str, Any]:
        """For JSON."""
        facts = self.structure
        return {
            "accepted": self.accepted,
            "reasons": [reason.view() for reason in self.reasons],
            "samples": self.samples,
            "outputs": {row.name: row.record() for row in self.agreement},
            "int8_operators": facts and facts.int8_operators,
            "operators": facts and facts.operators,
            "bytes": facts and facts.new_bytes,
            "bytes_original": facts and facts.old_bytes,
            "speed_gain": self.speed and round(self.speed.gain, 3),
            "ms": self.speed and round(self.speed.candidate_ms, 3),
            "ms_original": self.speed and round(self.speed.base_ms, 3),
            "int8_dot_product": self.speed and self.speed.int8_dot_product,
        }


def refusal(*reasons: Reason) -> Verdict:
    """A verdict on a candidate that could not be run."""
    return Verdict(agreement=(), structure=None, speed=None, samples=0, reasons=reasons)


def judge(
    original: Model,
    candidate: Model,
    /,
    *,
    samples: Sequence[Array],
    rules: Sequence[OutputRule],
    structure: Structure,
    limits: GateLimits,
) -> Verdict:
    """Judge a candidate; without ``rules`` they are read off the original's answers. Load both with one thread.

    Raises:
        InferenceError: a model fails, or an output has no rule.
    """
    if reason := other_edges(original, candidate):
        return refusal(reason)
    expected = answers(original, samples)
    names = [spec.name for spec in original.outputs()]
    agreement = compare(expected, answers(candidate, samples), rules or generic_rules(expected, names))
    speed = None
    if limits.speed_turns:
        speed = measure_gain(
            original,
            candidate,
            base_input=[encode_values(samples[0], original.inputs()[0])],
            candidate_input=[encode_values(samples[0], candidate.inputs()[0])],
            turns=limits.speed_turns,
        )
    reasons = [reason for row in agreement for reason in row.reasons]
    reasons += structural_reasons(structure, speed=speed, limits=limits)
    return Verdict(
        agreement=agreement, structure=structure, speed=speed, samples=len(samples), reasons=tuple(reasons)
    )


def structural_reasons(
    structure: Structure, /, *, speed: SpeedReport | None, limits: GateLimits
) -> list[Reason]:
    """Why a result is not worth shipping although its outputs agree; empty when it is."""
    reasons = []
    if not structure.int8_operators:
        reasons.append(Reason("no_int8", "no operator works on int8: nothing was quantised"))
    if structure.new_bytes >= structure.old_bytes:
        detail = f"the file has {structure.new_bytes} bytes, the float original {structure.old_bytes}"
        reasons.append(Reason("not_smaller", detail))
    if speed is None:
        return reasons
    least = limits.min_gain if speed.int8_dot_product else limits.min_gain_without
    if speed.gain < least:
        detail = (
            f"{speed.candidate_ms:.2f} ms against {speed.base_ms:.2f} ms float "
            f"(gain {speed.gain:.2f}, at least {least:.2f} needed)"
        )
        reasons.append(Reason("no_speed_gain", detail))
    return reasons


def other_edges(original: Model, candidate: Model, /) -> Reason | None:
    """Why a candidate cannot stand in for an original at all: number and shapes of inputs and outputs."""
    for what, ours, theirs in (
        ("inputs", _sizes(original.inputs()), _sizes(candidate.inputs())),
        ("outputs", _shapes(original.outputs()), _shapes(candidate.outputs())),
    ):
        if ours != theirs:
            return Reason("other_edges", f"its {what} are {theirs}, the original's {ours}")
    return None


def _shapes(specs: Sequence[TensorSpec]) -> list[tuple[int, ...]]:
    return [tuple(spec.shape) for spec in specs]


def _sizes(specs: Sequence[TensorSpec]) -> list[tuple[int, ...]]:
    """Shapes that tell apart all but the place of the channels, which is a converter's choice."""
    return [tuple(sorted(spec.shape)) if len(spec.shape) == 4 else tuple(spec.shape) for spec in specs]
