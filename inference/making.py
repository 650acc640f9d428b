"""Shell that makes packages out of a model and a folder of photos, as ``headway model`` and the demo do.

A float model is packed as it is; a quantised one is packed only when the gate let it through. Canaries come from
photos that it was not calibrated on. Packages go to ``out/<digest>``.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from inference.answers import encode_values
from inference.errors import InferenceError
from inference.graph import read_graph
from inference.packages import Package, PackageFacts, Quantisation, TaskName, build_package
from inference.photo_samples import PhotoSamples, canaries
from inference.quantize_tasks import Photo, QuantiseTask, quantise_task, sample_photos
from inference.runtimes.base import Array, Runtime
from inference.runtimes.registry import open_runtime
from inference.score_hands import read_photo

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
MAX_PHOTOS = 60
_PUBLISHING_RUNTIME = "litert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What to make a package of.

    ``helpers``: role → model file that cuts inputs out of photos, for task hands ``palm``.
    """

    model: Path
    task: TaskName
    photos: tuple[Path, ...]
    helpers: Mapping[str, Path]
    out: Path
    name: str
    version: str
    seed: int = 0
    licence: str = ""
    source: str = ""


def photo_paths(folder: Path, /) -> tuple[Path, ...]:
    """Photos of a folder, by name, evenly thinned to at most ``MAX_PHOTOS``.

    Raises:
        InferenceError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder: pass the folder that holds the photos"
        raise InferenceError(msg)
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        msg = (
            f"{folder} holds no photo: pass a folder of JPEG or PNG photos that show what the task looks for"
        )
        raise InferenceError(msg)
    return tuple(found[:: -(-len(found) // MAX_PHOTOS)])


def make_float_package(making: Making, /) -> Package:
    """Pack a model as it is.

    Raises:
        InferenceError: the model or a photo cannot be used.
    """
    row, runtime = quantise_task(making.task), open_runtime(_PUBLISHING_RUNTIME)
    samples = _samples(making, row, runtime)
    return _pack(making, making.model, row=row, runtime=runtime, shown=samples)


def make_int8_package(making: Making, /, *, tell: Callable[[str], None]) -> Package:
    """Quantise a float model and pack it; ``tell`` hears each step in words.

    Raises:
        QuantiseRefusedError: the gate refused it; all reasons.
        InferenceError: the model or a photo cannot be used.
    """
    from inference.quantize import QuantiseConfig, quantise  # noqa: PLC0415 - only this needs the extra

    row, runtime = quantise_task(making.task), open_runtime(_PUBLISHING_RUNTIME)
    tell(f"cutting inputs out of {len(making.photos)} photos")
    samples = _samples(making, row, runtime)
    config = QuantiseConfig(seed=making.seed)
    result = quantise(
        making.model, photos=samples, rules=row.rules, runtime=runtime, config=config, tell=tell
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{making.model.stem}_int8.tflite"
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


def quantisation_of(model: Path, /) -> Quantisation:
    """Read from its tensors what a .tflite model computes in.

    Raises:
        GraphError: not one plain graph.
    """
    graph = read_graph(model)
    worked_on = {graph.tensors[index].dtype for operator in graph.operators for index in operator.outputs}
    stored = {tensor.dtype for tensor in graph.tensors if tensor.constant}
    if "int8" in worked_on:
        return "mixed" if "float32" in worked_on else "int8"
    return "float16" if "float16" in stored else "float"


def _samples(making: Making, row: QuantiseTask, runtime: Runtime) -> list[PhotoSamples]:
    missing = sorted(set(row.helpers) - set(making.helpers))
    if missing:
        msg = (
            f"task {making.task} needs a model for {', '.join(missing)} to cut inputs out of photos: name one"
        )
        raise InferenceError(msg)
    with ExitStack() as stack:
        model = stack.enter_context(closing(runtime.load(making.model, threads=1)))
        helpers = {
            role: stack.enter_context(closing(runtime.load(path, threads=1)))
            for role, path in making.helpers.items()
        }
        photos: list[Photo] = [read_photo(path) for path in making.photos]
        return sample_photos(photos, row, model=model, helpers=helpers, seed=making.seed)


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
            source=making.source or making.model.name,
            licence=making.licence,
        ),
        golden_inputs=golden,
        runtime=runtime,
        out=making.out,
    )
