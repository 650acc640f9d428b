"""Shell that makes packages out of a model and a folder of photos, as ``headway model`` and the demo do.

A float model is packed as it is; a quantised one is packed only when the gate let it through. Canaries come from
photos that it was not calibrated on. Packages go to ``out/<digest>``.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from inference.errors import InferenceError
from inference.gate.answers import encode_values
from inference.gate.int8_share import int8_share, stores_half
from inference.packages.package import Package, PackageFacts, Quantisation, TaskName, build_package
from inference.quantize.photo_samples import PhotoSamples, canaries
from inference.quantize.photo_sources import read_shown
from inference.quantize.search import Mode, QuantiseConfig, quantise
from inference.quantize.tasks import QuantiseTask, quantise_task, sample_shown
from inference.runtimes.base import Array, Model, Runtime
from inference.runtimes.registry import open_runtime

_ENGINES = {".tflite": "litert", ".onnx": "onnx"}
_RUNTIMES = {".tflite": ("litert", "tflite"), ".onnx": ("onnx",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What to make a package of.

    ``photos`` may be videos too. ``helpers``: role → model file that cuts inputs out of photos, for task hands
    ``palm``. ``mode``: how it is quantised.
    """

    model: Path
    task: TaskName
    photos: tuple[Path, ...]
    helpers: Mapping[str, Path]
    out: Path
    name: str
    version: str
    seed: int = 0
    mode: Mode = "static"
    licence: str = ""
    source: str = ""


def make_float_package(making: Making, /) -> Package:
    """Pack a model as it is.

    Raises:
        InferenceError: the model or a photo cannot be used.
    """
    row, runtime = quantise_task(making.task), engine_of(making.model)
    samples = _samples(making, row, runtime)
    return _pack(making, making.model, row=row, runtime=runtime, shown=samples)


def make_int8_package(making: Making, /, *, tell: Callable[[str], None]) -> Package:
    """Quantise a float model and pack it; ``tell`` hears each step in words.

    Raises:
        QuantiseRefusedError: the gate refused it; all reasons.
        InferenceError: the model or a photo cannot be used.
    """
    row, runtime = quantise_task(making.task), engine_of(making.model)
    tell(f"cutting inputs out of {len(making.photos)} photos and videos")
    samples = _samples(making, row, runtime)
    config = QuantiseConfig(seed=making.seed, mode=making.mode, max_stem=row.max_stem, max_tail=row.max_tail)
    result = quantise(
        making.model, photos=samples, rules=row.rules, runtime=runtime, config=config, tell=tell
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{making.model.stem}_int8{making.model.suffix}"
        path.write_bytes(result.content)
        return _pack(
            making,
            path,
            row=row,
            runtime=runtime,
            shown=result.split.held_back,
            agreement={part.name: part.record() for part in result.agreement},
            calibration=result.calibration_record(),
        )


def engine_of(model: Path, /) -> Runtime:
    """The engine that models of a file's format are made, judged and packed with.

    Raises:
        InferenceError: a file of neither format, or the engine is not installed.
    """
    engine = _ENGINES.get(model.suffix.lower())
    if engine is None:
        msg = (
            f"{model.name} is no model file that can be quantised: pass one ending in {' or '.join(_ENGINES)}"
        )
        raise InferenceError(msg)
    return open_runtime(engine)


def quantisation_of(model: Path, /) -> Quantisation:
    """Read from its operators and tensors what a model computes in.

    Raises:
        GraphError: not one plain graph.
    """
    content = model.read_bytes()
    in_int8, operators = int8_share(content)
    if in_int8:
        return "int8" if in_int8 == operators else "mixed"
    return "float16" if stores_half(content) else "float"


def load_helpers(stack: ExitStack, files: Mapping[str, Path], /) -> dict[str, Model]:
    """Open models that cut inputs out of photos, each with its own engine, for as long as the stack lives."""
    return {
        role: stack.enter_context(closing(engine_of(path).load(path, threads=1)))
        for role, path in files.items()
    }


def _samples(making: Making, row: QuantiseTask, runtime: Runtime) -> list[PhotoSamples]:
    missing = sorted(set(row.helpers) - set(making.helpers))
    if missing:
        msg = (
            f"task {making.task} needs a model for {', '.join(missing)} to cut inputs out of photos: name one"
        )
        raise InferenceError(msg)
    with ExitStack() as stack:
        model = stack.enter_context(closing(runtime.load(making.model, threads=1)))
        helpers = load_helpers(stack, making.helpers)
        return sample_shown(read_shown(making.photos), row, model=model, helpers=helpers, seed=making.seed)


def _pack(
    making: Making,
    model: Path,
    *,
    row: QuantiseTask,
    runtime: Runtime,
    shown: Sequence[PhotoSamples],
    agreement: Mapping[str, dict[str, float | int | str | bool | None]] | None = None,
    calibration: dict[str, float | int | str | bool | None] | None = None,
) -> Package:
    with closing(runtime.load(model, threads=1)) as loaded:
        spec = loaded.inputs()[0]
    golden: list[list[Array]] = [[encode_values(array, spec)] for array in canaries(shown)]
    return build_package(
        model,
        facts=PackageFacts(
            name=making.name,
            version=making.version,
            task=making.task,
            quantisation=quantisation_of(model),
            tolerances=row.golden,
            agreement=agreement,
            calibration=calibration,
            runtimes=_RUNTIMES[model.suffix],
            source=making.source or making.model.name,
            licence=making.licence,
        ),
        golden_inputs=golden,
        runtime=runtime,
        out=making.out,
    )
