"""Shell that provides the int8 landmark model of an evaluation: a given one, or one made on the spot.

Made on the spot it is quantised as ``headway model quantize`` does, but judged by its answers alone: how
fast it runs is a matter for publishing. Photos that it was calibrated with are named, and only the others
count where it is compared with the float model.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.errors import OracleError
from inference.packages.package import open_package
from inference.quantize.photo_sources import read_photo
from inference.quantize.tasks import photo_digest, quantise_task, sample_photos
from inference.runtimes.base import Model
from inference.runtimes.registry import open_runtime

_PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_SEED = 0
# Enough for the ranges of an int8 model; a folder of thousands would fill the memory for nothing.
_MAX_PHOTOS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Model:
    """An int8 landmark model, the names of the scored photos it never saw, and where it comes from."""

    path: Path
    held_back: frozenset[str]
    origin: dict[str, Any] = field(default_factory=dict)


def given(path: Path, *, photos: Sequence[Path]) -> Int8Model:
    """A model file or package that somebody made before; with which photos is theirs to know.

    Raises:
        ModelPackageError: the path is a folder, but not of an undamaged package.
    """
    every_photo = frozenset(photo.name for photo in photos)
    if not path.is_dir():
        return Int8Model(path=path, held_back=every_photo, origin={"model": path.name})
    package = open_package(path)
    origin = {
        "model": f"{package.manifest.name} {package.manifest.version}",
        "package": package.digest,
        "calibration": dict(package.manifest.calibration),
    }
    return Int8Model(path=package.model_path, held_back=every_photo, origin=origin)


def made(
    landmark: Path,
    *,
    palm: Model,
    photos: Sequence[Path],
    calibration: Path | None,
    into: Path,
    tell: Callable[[str], None],
) -> Int8Model:
    """Quantise a float model, calibrated with a folder of photos or else with a part of the scored ones.

    Raises:
        OracleError: the calibration folder holds no photo.
        QuantiseRefusedError: too few photos with hands, or the int8 answers are too far from the float ones.
    """
    from inference.quantize.search import QuantiseConfig, quantise  # noqa: PLC0415 (only here is the extra needed)

    sources = _photos_of(calibration) if calibration else photos
    images = {path: read_photo(path) for path in _spread(sources)}
    runtime, task = open_runtime("litert"), quantise_task("hands")
    with closing(runtime.load(landmark, threads=1)) as model:
        samples = sample_photos(list(images.values()), task, model=model, helpers={"palm": palm}, seed=_SEED)
    answers_only = QuantiseConfig(seed=_SEED, min_gain=0.0, min_gain_without=0.0, speed_turns=3)
    result = quantise(
        landmark, photos=samples, rules=task.rules, runtime=runtime, config=answers_only, tell=tell
    )
    path = into / f"{landmark.stem}_int8.tflite"
    path.write_bytes(result.content)
    used = {sample.digest for sample in result.split.calibration}
    scored = {photo.name: photo_digest(read_photo(photo)) for photo in photos}
    held_back = frozenset(name for name, digest in scored.items() if digest not in used)
    return Int8Model(
        path=path,
        held_back=held_back,
        origin={
            "model": f"quantised here from {landmark.name}",
            "calibrated_with": sorted(p.name for p, image in images.items() if photo_digest(image) in used),
            "n_held_back": len(held_back),
            "calibration": result.calibration_record(),
        },
    )


def _spread(photos: Sequence[Path]) -> list[Path]:
    """At most ``_MAX_PHOTOS`` of them, evenly spread."""
    step = max(1, math.ceil(len(photos) / _MAX_PHOTOS))
    return list(photos[::step])


def _photos_of(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PHOTO_SUFFIXES)
    if not found:
        raise OracleError(f"{folder} holds no photo: pass a folder of JPEG or PNG photos with hands")
    return found
