"""Shell: the models of a folder that a worker can run parts of, each with the fingerprint of its kernels here.

The worker's own landmark model and the packages of the task ``hands`` beside it, opened once to take the
fingerprint. What cannot be cut, opened or read is left out and logged: it is still answered whole.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.errors import InferenceError
from inference.packages.package import MANIFEST_NAME, open_package
from inference.parity.fingerprint import split_fingerprint
from inference.runtimes.base import Runtime
from inference.split.model import SplitModel, split_model
from observability import log

MAX_PART_MODELS = 16  # each is held in memory, ready to be cut
PACKAGES = "packages"
_log = log.get("cloud_worker.part_models")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartModel:
    """A model file, ready to be cut; ``kernel`` is the fingerprint (hex) of what computes it here."""

    path: Path
    digest: bytes
    split: SplitModel
    kernel: str


def part_models(files: Iterable[Path], *, runtime: Runtime, threads: int) -> dict[bytes, PartModel]:
    """The models that can be answered in parts, by digest; at most ``MAX_PART_MODELS``, the first ones."""
    found: dict[bytes, PartModel] = {}
    for path in files:
        if len(found) >= MAX_PART_MODELS:
            _log.warning("more models than parts can be offered of", left_out=str(path), most=MAX_PART_MODELS)
            break
        try:
            model = _prepared(path, runtime=runtime, threads=threads)
        except (InferenceError, OSError) as error:
            _log.info("this model is answered whole only", model=str(path), why=str(error))
            continue
        found[model.digest] = model
    return found


def packaged_models(folder: Path, *, task: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Model files of the sound packages in a folder, and in its ``packages``, that are for this task."""
    for manifest in sorted(
        {*folder.glob(f"*/{MANIFEST_NAME}"), *folder.glob(f"{PACKAGES}/*/{MANIFEST_NAME}")}
    ):
        try:
            package = open_package(manifest.parent)
        except InferenceError as error:
            _log.warning("a package is not sound", package=str(manifest.parent), why=str(error))
            continue
        if package.manifest.task == task and package.model_path.suffix in suffixes:
            yield package.model_path


def _prepared(path: Path, *, runtime: Runtime, threads: int) -> PartModel:
    content = path.read_bytes()
    split = split_model(content)
    kernel = split_fingerprint(split, runtime=runtime, threads=threads)
    return PartModel(path=path, digest=hashlib.sha256(content).digest(), split=split, kernel=kernel)
