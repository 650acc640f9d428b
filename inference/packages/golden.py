"""Golden vectors: real inputs with the outputs that the publishing engine gave.

Another engine, processor or delegate may differ in the last bits, so answers are compared by the task's tolerance,
the mean absolute difference per output, never by bytes. Files are plain npz; pickled ones are refused.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import InferenceError, ModelPackageError
from inference.runtimes.base import Array, Runtime

if TYPE_CHECKING:  # the package knows its golden vectors, not the other way round
    from inference.packages.package import Package

MAX_UNPACKED_BYTES = 256 * 2**20
# What a damaged archive makes zipfile, zlib and NumPy raise; a header that claims huge arrays ends as MemoryError.
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)
_FIRST_INPUT = re.compile(r"input_\d+_0")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """``inputs`` and ``expected``: per canary, one array per input and per output of the model."""

    output_names: tuple[str, ...]
    inputs: tuple[tuple[Array, ...], ...]
    expected: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenReport:
    """How an engine answered the canaries; ``reasons`` is empty when it passed.

    ``differences``: per output name, the worst mean absolute difference over all canaries, in its own unit.
    """

    runtime: str
    runtime_version: str
    differences: dict[str, float]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every output came within its tolerance on every canary."""
        return not self.reasons


def record_golden(model: Path, inputs: Sequence[Sequence[Array]], /, *, runtime: Runtime) -> Golden:
    """Let an engine answer canary inputs.

    Raises:
        InferenceError: the model does not load or run, or answers values that are not numbers.
    """
    with closing(runtime.load(model, threads=1)) as loaded:
        expected = tuple(loaded.run(arrays) for arrays in inputs)
        names = tuple(spec.name for spec in loaded.outputs())
    if not all(np.isfinite(array).all() for row in expected for array in row):
        msg = f"{model.name} answers values that are not numbers: do not publish it"
        raise ModelPackageError(msg)
    return Golden(output_names=names, inputs=tuple(tuple(row) for row in inputs), expected=expected)


def write_golden(golden: Golden, path: Path, /) -> None:
    """Write golden vectors as npz; the same vectors give the same bytes."""
    arrays: dict[str, Array] = {}
    for canary, (inputs, expected) in enumerate(zip(golden.inputs, golden.expected, strict=True)):
        arrays |= {f"input_{canary}_{index}": array for index, array in enumerate(inputs)}
        arrays |= {f"output_{canary}_{index}": array for index, array in enumerate(expected)}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_golden(path: Path, /, *, output_names: Sequence[str]) -> Golden:
    """Read golden vectors.

    Raises:
        ModelPackageError: not an npz of plain arrays, larger than ``MAX_UNPACKED_BYTES``, or canaries lack inputs or outputs.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        msg = f"{path.name} holds no golden vectors ({error}): build the package again"
        raise ModelPackageError(msg) from error
    canaries = sum(_FIRST_INPUT.fullmatch(name) is not None for name in arrays)
    inputs = tuple(_row(arrays, f"input_{canary}_") for canary in range(canaries))
    expected = tuple(_row(arrays, f"output_{canary}_") for canary in range(canaries))
    if not canaries or not all(inputs) or any(len(row) != len(output_names) for row in expected):
        msg = f"{path.name} has canaries without inputs or outputs: build the package again"
        raise ModelPackageError(msg)
    return Golden(output_names=tuple(output_names), inputs=inputs, expected=expected)


def check_golden(package: "Package", runtime: Runtime, /) -> GoldenReport:
    """Answer a package's canaries with an engine of this machine and compare by tolerance.

    A model that does not load or run gives a report with that reason, as one that answers wrongly does.

    Raises:
        ModelPackageError: the package's golden vectors cannot be read.
    """
    rows = package.manifest.golden
    golden = read_golden(package.golden_path, output_names=[row.name for row in rows])
    differences = dict.fromkeys(golden.output_names, 0.0)
    reasons: list[str] = []
    try:
        with closing(runtime.load(package.model_path, threads=1)) as model:
            for inputs, expected in zip(golden.inputs, golden.expected, strict=True):
                for row, want, got in zip(rows, expected, model.run(inputs), strict=True):
                    differences[row.name] = max(differences[row.name], _difference(got, want))
    except (InferenceError, ValueError) as error:
        reasons.append(f"the model does not answer its canaries: {error}")
    reasons += [
        f"golden vectors disagree: {row.name} is off by {differences[row.name]:.4g}, allowed are {row.tolerance:.4g}"
        for row in rows
        if not differences[row.name] <= row.tolerance
    ]
    return GoldenReport(
        runtime=runtime.name,
        runtime_version=runtime.version,
        differences=differences,
        reasons=tuple(reasons),
    )


def _check_size(path: Path) -> None:
    """Refuse an archive that is far larger than it looks; a few kilobytes may unpack to all of the memory."""
    with zipfile.ZipFile(path) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    if unpacked_bytes > MAX_UNPACKED_BYTES:
        msg = (
            f"{path.name} unpacks to {unpacked_bytes} bytes, allowed are {MAX_UNPACKED_BYTES}: "
            "build the package again with fewer or smaller canaries"
        )
        raise ModelPackageError(msg)


def _row(arrays: dict[str, Array], prefix: str) -> tuple[Array, ...]:
    count = sum(name.startswith(prefix) for name in arrays)
    names = [f"{prefix}{index}" for index in range(count)]
    return tuple(arrays[name] for name in names if name in arrays)


def _difference(got: Array, want: Array) -> float:
    """Mean absolute difference; infinite where shapes differ or values are not numbers."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return math.inf
    difference = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).mean())
    return difference if math.isfinite(difference) else math.inf
