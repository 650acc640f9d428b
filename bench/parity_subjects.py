"""Which models parity is measured on, and on which kernel paths.

Known models are imported where they are missing, int8 hand models made on the spot where no folder has them.
Models that users bring come from the shared data, where there is one.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from headway.photos import ensure_photos
from headway.setup import REPOSITORY, cache_dir
from inference.packages.making import engine_of, load_helpers
from inference.packages.zoo import SETS, fetch
from inference.parity.check import KernelPath, Places
from inference.quantize.photo_sources import read_shown
from inference.quantize.search import QuantiseConfig, quantise
from inference.quantize.tasks import quantise_task, sample_shown
from inference.runtimes.options import RuntimeOptions
from inference.split.model import SplitModel, split_model

_End = tuple[RuntimeOptions, int]  # options and threads of one place
INT8_OF = ("hand_landmark_full", "hand_landmark_lite")
_LARGE_INPUT_BYTES = 400_000
_TEXT_SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "ppocr_v4_det": {"x": (1, 3, 96, 160)},
    "ppocr_v4_rec": {"x": (1, 3, 48, 320)},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """One model file, cut; equal to itself only."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]] | None
    split: SplitModel

    @property
    def canary_count(self) -> int:
        """One canary for large inputs, two for others."""
        flow = self.split.flow
        large = sum(flow.tensors[index].payload_bytes for index in flow.inputs) > _LARGE_INPUT_BYTES
        return 1 if large else 2

    @property
    def kind(self) -> str:
        """Format, and what most of its tensors hold."""
        flow = self.split.flow
        made = [flow.tensors[index].dtype for operator in flow.operators for index in operator.outputs]
        share = sum(dtype in ("int8", "uint8") for dtype in made) / len(made)
        return f"{flow.file_format} {'int8' if share > 0.5 else 'float'}"

    @property
    def routes(self) -> tuple["Route", ...]:
        """The kernel paths it is checked on; the first is the one that engines take unless told otherwise."""
        return ROUTES[self.split.flow.file_format]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Places of one check with the words for its row."""

    words: str
    places: Places


def _routes(runtime: str, rows: Sequence[tuple[str, _End, _End]]) -> tuple[Route, ...]:
    found = []
    for words, *ends in rows:
        device, worker = (KernelPath(runtime=runtime, options=row, threads=count) for row, count in ends)
        found.append(Route(words=words, places=Places(device=device, worker=worker)))
    return tuple(found)


_XNNPACK, _PLAIN = RuntimeOptions(), RuntimeOptions(delegates=())
_UNOPTIMISED, _OPTIMISED = RuntimeOptions(optimisation="none"), RuntimeOptions()
ROUTES = {
    "tflite": _routes(
        "litert",
        [
            ("XNNPACK, 1 thread", (_XNNPACK, 1), (_XNNPACK, 1)),
            ("XNNPACK, 2 threads", (_XNNPACK, 2), (_XNNPACK, 2)),
            ("XNNPACK, 1 and 2 threads", (_XNNPACK, 1), (_XNNPACK, 2)),
            ("plain kernels, 1 thread", (_PLAIN, 1), (_PLAIN, 1)),
            ("plain kernels, 2 threads", (_PLAIN, 2), (_PLAIN, 2)),
            ("plain kernels, 1 and 2 threads", (_PLAIN, 1), (_PLAIN, 2)),
            ("XNNPACK and plain kernels", (_XNNPACK, 1), (_PLAIN, 1)),
        ],
    ),
    "onnx": _routes(
        "onnx",
        [
            ("unoptimised, 1 thread", (_UNOPTIMISED, 1), (_UNOPTIMISED, 1)),
            ("unoptimised, 2 threads", (_UNOPTIMISED, 2), (_UNOPTIMISED, 2)),
            ("unoptimised, 1 and 2 threads", (_UNOPTIMISED, 1), (_UNOPTIMISED, 2)),
            ("unoptimised and optimised", (_UNOPTIMISED, 1), (_OPTIMISED, 1)),
        ],
    ),
}


def subject(path: Path, /) -> Subject:
    """Cut a model.

    Raises:
        GraphError: it cannot be cut; says which operator and why.
    """
    shapes = _TEXT_SHAPES.get(path.stem)
    return Subject(path=path, shapes=shapes, split=split_model(path.read_bytes(), shapes=shapes))


def model_files(*, made: Path, packages: Path | None, tell: Callable[[str], None]) -> list[Path]:
    """Files of all models: known ones, those of the shared data, and int8 hand models.

    ``packages`` is a folder to find int8 models in; those that are missing are made in ``made``.

    Raises:
        InferenceError: a known model cannot be imported, or one could not be quantised.
        OSError: no photos to quantise with.
    """
    models = cache_dir(os.environ) / "models"
    known = {name: path for group in SETS for name, path in fetch(group, models).items()}
    shared = REPOSITORY.parent / "shared" / "data" / "models"
    brought = [path for path in sorted(shared.rglob("*")) if path.suffix in (".tflite", ".onnx")]
    return [*known.values(), *brought, *_int8_files(known, made=made, packages=packages, tell=tell)]


def _int8_files(
    known: Mapping[str, Path], *, made: Path, packages: Path | None, tell: Callable[[str], None]
) -> list[Path]:
    files = []
    for name in INT8_OF:
        found = sorted(packages.rglob(f"{name}_int8.tflite")) if packages else []
        files.append(found[0] if found else _quantised(name, known, made=made, tell=tell))
    return files


def _quantised(name: str, known: Mapping[str, Path], *, made: Path, tell: Callable[[str], None]) -> Path:
    """The gate judges every output as ever, but not the speed: that changes nothing about the bytes."""
    tell(f"{name}: quantising to int8")
    photos = ensure_photos(cache_dir(os.environ))
    row, runtime = quantise_task("hands"), engine_of(known[name])
    config = QuantiseConfig(speed_turns=0, max_tail=row.max_tail)
    with ExitStack() as stack:
        model = stack.enter_context(closing(runtime.load(known[name], threads=1)))
        helpers = load_helpers(stack, {role: known[file] for role, file in row.helpers.items()})
        samples = sample_shown(read_shown(photos), row, model=model, helpers=helpers, seed=config.seed)
    result = quantise(known[name], photos=samples, rules=row.rules, runtime=runtime, config=config)
    path = made / f"{name}_int8.tflite"
    path.write_bytes(result.content)
    return path
