"""Core of quantisation: static int8 with float ends, chosen by measurement, judged on photos never seen.

An int8 model loses most where values are few or their range is odd: in the first layers and in the heads.
So operators at both ends stay float, as few as needed: first the tail grows until the outputs agree, then
the stem shrinks as far as they still do, both on calibration photos. The gate then judges every output
on held-back photos; it also refuses a file without int8, a larger file and one that is not faster.
The same photos and seed give the same bytes.
"""

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.agreement import OutputAgreement, OutputRule, Record, compare
from inference.answers import answers, encode_values
from inference.errors import QuantiseRefusedError
from inference.graph import Graph, parse_graph, read_graph
from inference.graph_write import name_outputs
from inference.photo_samples import PhotoSamples, PhotoSplit, split_photos
from inference.quantizer import Int8Writer
from inference.runtimes.base import Array, Model, Runtime
from inference.speed import SpeedReport, measure_gain

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_NOTHING: Callable[[str], None] = lambda _step: None  # noqa: E731 - a default that hears and does nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseConfig:
    """Choices of a quantisation.

    ``max_stem`` and ``max_tail``: most operators that may stay float at either end. ``ends``: take these
    instead of searching. ``max_calibration_inputs`` and ``max_search_inputs`` bound the time that
    calibration and each step of the search take. ``search_margin``: share of each tolerance to reach on calibration photos, so that
    unseen photos pass too, or ``search_slack`` times what the longest ends reach where that is more; ``search_flip_share``: decisions that may flip there, where a few hard inputs would
    otherwise drive the search to its bounds. ``min_gain``: least speed gain where the processor has an int8 dot product,
    ``min_gain_without``: where it has none: int8 may be as fast as float, less the noise of measuring.
    """

    seed: int = 0
    held_back_share: float = 0.4
    max_calibration_inputs: int = 48
    max_search_inputs: int = 40
    max_stem: int = 8
    max_tail: int = 12
    ends: "FloatEnds | None" = None
    search_margin: float = 0.3
    search_slack: float = 1.25
    search_flip_share: float = 0.05
    speed_turns: int = 30
    min_gain: float = 1.0
    min_gain_without: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatEnds:
    """How many operators stay float at the start and at the end of the execution order."""

    stem: int
    tail: int

    def operators(self, count: int) -> tuple[int, ...]:
        """Indices of the float operators in a graph of ``count``."""
        return (*range(min(self.stem, count)), *range(max(count - self.tail, self.stem), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """An int8 model that passed the gate, and what was measured on the way."""

    content: bytes
    ends: FloatEnds
    agreement: tuple[OutputAgreement, ...]
    speed: SpeedReport
    split: PhotoSplit
    calibration_inputs: int
    int8_operators: int
    operators: int
    seed: int

    def calibration_record(self) -> Record:
        """What it was made of, flat, for the manifest."""
        return {
            "calibration_photos": len(self.split.calibration),
            "calibration_inputs": self.calibration_inputs,
            "held_back_photos": len(self.split.held_back),
            "held_back_inputs": sum(len(photo.inputs) for photo in self.split.held_back),
            "float_stem": self.ends.stem,
            "float_tail": self.ends.tail,
            "int8_operators": self.int8_operators,
            "operators": self.operators,
            "speed_gain": round(self.speed.gain, 3),
            "int8_dot_product": self.speed.int8_dot_product,
            "seed": self.seed,
        }


def quantise(
    model: Path,
    *,
    photos: Sequence[PhotoSamples],
    rules: Sequence[OutputRule],
    runtime: Runtime,
    config: QuantiseConfig | None = None,
    tell: Callable[[str], None] = _NOTHING,
) -> Quantised:
    """Quantise a float .tflite model with one input; ``tell`` hears each step in words.

    Raises:
        QuantiseRefusedError: the gate refused the result, or there is too little to calibrate on; all reasons.
        GraphError: the model is not one plain graph.
    """
    config = config or QuantiseConfig()
    graph = read_graph(model)
    if any(tensor.dtype == "int8" for tensor in graph.tensors):
        raise QuantiseRefusedError((f"{model.name} is quantised already: pass its float original",))
    rng = np.random.default_rng(config.seed)
    split = split_photos(photos, held_back_share=config.held_back_share, rng=rng)
    tell(f"calibrating on {len(split.calibration)} photos")
    found = [array for photo in split.calibration for array in photo.found]
    writer = Int8Writer(graph, calibration=_thinned(found, config.max_calibration_inputs))
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(model, runtime=runtime, folder=Path(folder))
        ends = config.ends or _find_ends(writer, bench, split=split, rules=rules, config=config, tell=tell)
        content = _write(writer, graph, ends)
        tell(f"judging on {len(split.held_back)} photos never seen")
        return _judged(content, bench, split=split, rules=rules, ends=ends, config=config)


def int8_operators(graph: Graph, /) -> tuple[int, int]:
    """Operators that work on int8 values and operators altogether; conversions between the two count as neither."""
    working = [op for op in graph.operators if op.name not in _CONVERSIONS]
    in_int8 = [op for op in working if graph.tensors[op.outputs[0]].dtype == "int8"]
    return len(in_int8), len(working)


class _Bench:
    """The float original beside candidates, all on one thread."""

    def __init__(self, original: Path, *, runtime: Runtime, folder: Path) -> None:
        self.original = runtime.load(original, threads=1)
        self.original_bytes = original.stat().st_size
        self._runtime = runtime
        self._path = folder / "candidate.tflite"

    def load(self, content: bytes) -> Model:
        self._path.write_bytes(content)
        return self._runtime.load(self._path, threads=1)


def _find_ends(
    writer: Int8Writer,
    bench: _Bench,
    *,
    split: PhotoSplit,
    rules: Sequence[OutputRule],
    config: QuantiseConfig,
    tell: Callable[[str], None],
) -> FloatEnds:
    """The shortest tail that agrees under the longest stem, then the shortest stem that still does."""
    every = [array for photo in split.calibration for array in photo.inputs]
    samples = _thinned(every, config.max_search_inputs)
    expected = answers(bench.original, samples)
    easier = [replace(rule, flip_share=max(rule.flip_share, config.search_flip_share)) for rule in rules]

    def measured(ends: FloatEnds) -> tuple[OutputAgreement, ...]:
        tell(f"trying {ends.stem} float operators at the start, {ends.tail} at the end")
        return compare(expected, answers(bench.load(_write(writer, None, ends)), samples), easier)

    best = measured(FloatEnds(stem=config.max_stem, tail=config.max_tail))

    def agrees(ends: FloatEnds) -> bool:
        return all(
            not row.reasons and row.margin <= max(config.search_margin, config.search_slack * reached.margin)
            for row, reached in zip(measured(ends), best, strict=True)
        )

    # Halving: more float operators at an end only ever bring the outputs nearer.
    tail = bisect_left(
        range(config.max_tail), True, key=lambda n: agrees(FloatEnds(stem=config.max_stem, tail=n))
    )
    stem = bisect_left(range(config.max_stem), True, key=lambda n: agrees(FloatEnds(stem=n, tail=tail)))
    return FloatEnds(stem=stem, tail=tail)


def _thinned(samples: Sequence[Array], most: int) -> list[Array]:
    """At most that many, evenly spread over the photos they come from."""
    if len(samples) <= most:
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, most).astype(int)]


def _write(writer: Int8Writer, original: Graph | None, ends: FloatEnds) -> bytes:
    content = writer.write(keep_float=ends.operators(len(writer.graph.operators)))
    if original is None:
        return content
    # The quantiser renames outputs that it converts; readers know them by the original's names.
    names = [original.tensors[index].name for index in original.outputs]
    return name_outputs(parse_graph(content), names).content


def _judged(
    content: bytes,
    bench: _Bench,
    *,
    split: PhotoSplit,
    rules: Sequence[OutputRule],
    ends: FloatEnds,
    config: QuantiseConfig,
) -> Quantised:
    candidate = bench.load(content)
    samples: list[Array] = [array for photo in split.held_back for array in photo.inputs]
    agreement = compare(answers(bench.original, samples), answers(candidate, samples), rules)
    in_int8, operators = int8_operators(parse_graph(content))
    speed = measure_gain(
        bench.original,
        candidate,
        base_input=[encode_values(samples[0], bench.original.inputs()[0])],
        candidate_input=[encode_values(samples[0], candidate.inputs()[0])],
        turns=config.speed_turns,
    )
    reasons = [reason for row in agreement for reason in row.reasons]
    reasons += structural_reasons(
        in_int8=in_int8, new_bytes=len(content), old_bytes=bench.original_bytes, speed=speed, config=config
    )
    if reasons:
        raise QuantiseRefusedError(tuple(reasons))
    return Quantised(
        content=content,
        ends=ends,
        agreement=agreement,
        speed=speed,
        split=split,
        calibration_inputs=min(
            sum(len(photo.found) for photo in split.calibration), config.max_calibration_inputs
        ),
        int8_operators=in_int8,
        operators=operators,
        seed=config.seed,
    )


def structural_reasons(
    *, in_int8: int, new_bytes: int, old_bytes: int, speed: SpeedReport, config: QuantiseConfig
) -> list[str]:
    """Why a result is not worth shipping although its outputs agree; empty when it is."""
    reasons = []
    if not in_int8:
        reasons.append("no operator works on int8: nothing was quantised")
    if new_bytes >= old_bytes:
        reasons.append(f"the file has {new_bytes} bytes, the float original {old_bytes}: it did not shrink")
    least = config.min_gain if speed.int8_dot_product else config.min_gain_without
    if speed.gain < least:
        reasons.append(
            f"no speed gain: {speed.candidate_ms:.2f} ms against {speed.base_ms:.2f} ms float "
            f"(gain {speed.gain:.2f}, at least {least:.2f} needed)"
        )
    return reasons
