"""Core of quantisation: int8 with float ends, chosen by measurement, judged on photos never seen.

Which operators stay float is searched on calibration photos (``float_ends``); the gate then judges every output on
held-back photos, and the file. Static models measure ranges on calibration inputs, dynamic ones as they run.
The same photos and seed give the same bytes.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from inference.errors import QuantiseRefusedError
from inference.gate.agreement import OutputAgreement, compare
from inference.gate.answers import answers
from inference.gate.int8_share import int8_share
from inference.gate.output_rules import OutputRule, Record
from inference.gate.speed import SpeedReport
from inference.gate.verdict import GateLimits, Structure, Verdict, judge
from inference.quantize.float_ends import Cones, FloatEnds, SearchBounds, find_ends
from inference.quantize.photo_samples import PhotoSamples, PhotoSplit, split_photos
from inference.refusals import Reason
from inference.runtimes.base import Array, Model, Runtime
from inference.tflite.graph import parse_graph

Mode = Literal["static", "dynamic"]
MODES: tuple[Mode, ...] = ("static", "dynamic")
_NOTHING: Callable[[str], None] = lambda _step: None  # noqa: E731 - a default that hears and does nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseConfig:
    """Choices of a quantisation.

    ``mode``: ``static`` measures the ranges of activations on calibration inputs, ``dynamic`` as the model runs.
    ``max_stem`` and ``max_tail``: most operators that may stay float at either end. ``ends``: take these
    instead of searching. ``max_calibration_inputs`` and ``max_search_inputs`` bound the time that calibration and
    each step of the search take. ``search_margin`` and ``search_slack``: see ``SearchBounds``;
    ``search_flip_share``: decisions that may flip in the search, where a few hard inputs would otherwise drive it
    to its bounds. ``speed_turns``, ``min_gain`` and ``min_gain_without``: see ``GateLimits``.
    """

    mode: Mode = "static"
    seed: int = 0
    held_back_share: float = 0.4
    max_calibration_inputs: int = 48
    max_search_inputs: int = 40
    max_stem: int = 8
    max_tail: int = 12
    ends: FloatEnds | None = None
    search_margin: float = 0.3
    search_slack: float = 1.25
    search_flip_share: float = 0.05
    speed_turns: int = 30
    min_gain: float = 1.0
    min_gain_without: float = 0.95

    @property
    def limits(self) -> GateLimits:
        """What the gate asks for."""
        return GateLimits(
            speed_turns=self.speed_turns, min_gain=self.min_gain, min_gain_without=self.min_gain_without
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """An int8 model that passed the gate, and what was measured on the way."""

    content: bytes
    mode: Mode
    ends: FloatEnds
    verdict: Verdict
    structure: Structure
    split: PhotoSplit
    calibration_inputs: int
    seed: int

    @property
    def agreement(self) -> tuple[OutputAgreement, ...]:
        """How every output agrees on held-back photos."""
        return self.verdict.agreement

    @property
    def speed(self) -> SpeedReport | None:
        """How much faster it is; None where the gate did not ask."""
        return self.verdict.speed

    def calibration_record(self) -> Record:
        """What it was made of, flat, for the manifest."""
        return {
            "mode": self.mode,
            "calibration_photos": len(self.split.calibration),
            "calibration_inputs": self.calibration_inputs,
            "held_back_photos": len(self.split.held_back),
            "held_back_inputs": sum(len(photo.inputs) for photo in self.split.held_back),
            "float_stem": self.ends.stem,
            "float_tail": self.ends.tail,
            "float_heads": " ".join(map(str, self.ends.heads)),
            "int8_operators": self.structure.int8_operators,
            "operators": self.structure.operators,
            "speed_gain": round(self.speed.gain, 3) if self.speed else None,
            "int8_dot_product": self.speed.int8_dot_product if self.speed else None,
            "seed": self.seed,
        }


class Writer(Protocol):
    """A quantiser that knows one float model: writes variants in which the named operators stay float."""

    @property
    def count(self) -> int:
        """Operators of the model."""
        ...

    @property
    def cones(self) -> Cones:
        """Per output, the operators that it depends on."""
        ...

    def write(self, *, keep_float: Sequence[int]) -> bytes:
        """A variant as a model file."""
        ...

    def finished(self, content: bytes, /) -> bytes:
        """The variant as it is shipped."""
        ...

    def close(self) -> None:
        """Forget what was measured."""
        ...


def quantise(
    model: Path,
    *,
    photos: Sequence[PhotoSamples],
    rules: Sequence[OutputRule],
    runtime: Runtime,
    config: QuantiseConfig | None = None,
    tell: Callable[[str], None] = _NOTHING,
) -> Quantised:
    """Quantise a float .tflite or .onnx model with one input; ``tell`` hears each step in words.

    Raises:
        QuantiseRefusedError: the gate refused the result, or there is too little to calibrate on; all reasons.
        GraphError: the model is not one plain graph.
    """
    config = config or QuantiseConfig()
    content = model.read_bytes()
    if int8_share(content)[0]:
        raise QuantiseRefusedError(Reason("already_int8", f"{model.name} is quantised already"))
    split = split_photos(
        photos, held_back_share=config.held_back_share, rng=np.random.default_rng(config.seed)
    )
    tell(f"calibrating on {len(split.calibration)} photos")
    found = [array for photo in split.calibration for array in photo.found]
    calibration = _thinned(found, config.max_calibration_inputs) if config.mode == "static" else []
    with closing(_writer(content, calibration)) as writer, tempfile.TemporaryDirectory() as folder:
        bench = _Bench(model, runtime=runtime, folder=Path(folder))
        ends = config.ends or _searched(writer, bench, split=split, rules=rules, config=config, tell=tell)
        made = writer.finished(writer.write(keep_float=ends.operators(writer.count, writer.cones)))
        tell(f"judging on {len(split.held_back)} photos never seen")
        in_int8, operators = int8_share(made)
        structure = Structure(
            int8_operators=in_int8, operators=operators, new_bytes=len(made), old_bytes=len(content)
        )
        verdict = judge(
            bench.original,
            bench.load(made),
            samples=[array for photo in split.held_back for array in photo.inputs],
            rules=rules,
            structure=structure,
            limits=config.limits,
        )
    if not verdict.accepted:
        raise QuantiseRefusedError(*verdict.reasons)
    return Quantised(
        content=made,
        mode=config.mode,
        ends=ends,
        verdict=verdict,
        structure=structure,
        split=split,
        calibration_inputs=len(calibration),
        seed=config.seed,
    )


class _Bench:
    """The float original beside candidates, all on one thread."""

    def __init__(self, original: Path, *, runtime: Runtime, folder: Path) -> None:
        self.original = runtime.load(original, threads=1)
        self._runtime = runtime
        self._path = folder / f"candidate{original.suffix}"

    def load(self, content: bytes) -> Model:
        self._path.write_bytes(content)
        return self._runtime.load(self._path, threads=1)


def _writer(content: bytes, calibration: Sequence[Array]) -> Writer:
    """The quantiser of the file's format; each is an extra of its own, and may be missing."""
    if content[4:8] == b"TFL3":
        from inference.quantize.quantizer import Int8Writer  # noqa: PLC0415 - only here is the extra needed

        return Int8Writer(parse_graph(content), calibration=calibration)
    from inference.quantize.onnx_int8 import OnnxInt8Writer  # noqa: PLC0415 - only here is the extra needed

    return OnnxInt8Writer(content, calibration=calibration)


def _searched(
    writer: Writer,
    bench: _Bench,
    *,
    split: PhotoSplit,
    rules: Sequence[OutputRule],
    config: QuantiseConfig,
    tell: Callable[[str], None],
) -> FloatEnds:
    every = [array for photo in split.calibration for array in photo.inputs]
    samples = _thinned(every, config.max_search_inputs)
    expected = answers(bench.original, samples)
    easier = [replace(rule, flip_share=max(rule.flip_share, config.search_flip_share)) for rule in rules]
    measured: dict[tuple[int, ...], tuple[OutputAgreement, ...]] = {}

    def measure(ends: FloatEnds) -> tuple[OutputAgreement, ...]:
        kept = ends.operators(writer.count, writer.cones)
        if kept not in measured:
            tell(f"trying {len(kept)} of {writer.count} operators in float")
            with closing(bench.load(writer.write(keep_float=kept))) as candidate:
                measured[kept] = compare(expected, answers(candidate, samples), easier)
        return measured[kept]

    bounds = SearchBounds(
        max_stem=config.max_stem,
        max_tail=config.max_tail,
        margin=config.search_margin,
        slack=config.search_slack,
    )
    return find_ends(measure, count=writer.count, cones=writer.cones, bounds=bounds)


def _thinned(samples: Sequence[Array], most: int) -> list[Array]:
    """At most that many, evenly spread over the photos they come from."""
    if len(samples) <= most:
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, most).astype(int)]
