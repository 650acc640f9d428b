"""Shell that imports known public models into a folder of this machine.

The models lie inside public wheels. A row names the wheel, the member and the sha256 of the *extracted* file:
the file's digest is what is trusted, not the wheel's, and a file that differs is refused and never gets its name.
Refuses names that are not in the table; weights without a free licence do not belong in the table.
Downloads go through pip, so that the user's own index, proxy and certificates apply. All of that stays in here.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.errors import InferenceError

# The wheel serves as an archive of model files and is never installed: one fixed platform and Python version
# give the same file everywhere, whatever this machine is.
_FIXED_PYTHON = ("--implementation", "cp", "--python-version", "3.12", "--platform")
_PLATFORM = "manylinux_2_28_x86_64"
_DOWNLOAD_TIMEOUT_S = 900


class ZooError(InferenceError):
    """A known model could not be imported; the text names the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One importable model file.

    ``member`` is the path inside the wheel; ``sha256`` and ``size_bytes`` describe the extracted file.
    """

    name: str
    wheel: str
    member: str
    sha256: str
    size_bytes: int
    task: str
    role: str
    variant: str
    licence: str

    @property
    def file_name(self) -> str:
        """Name of the file in the folder of imported models."""
        return f"{self.name}{PurePosixPath(self.member).suffix}"


def _mediapipe_hand(name: str, *, role: str, variant: str, sha256: str, size_bytes: int) -> KnownModel:
    folder = {"palm": "palm_detection", "landmark": "hand_landmark"}[role]
    return KnownModel(
        name=name,
        wheel="mediapipe==0.10.21",
        member=f"mediapipe/modules/{folder}/{name}.tflite",
        sha256=sha256,
        size_bytes=size_bytes,
        task="hands",
        role=role,
        variant=variant,
        licence="Apache-2.0",
    )


def _mediapipe_face(name: str, *, variant: str, sha256: str, size_bytes: int) -> KnownModel:
    return KnownModel(
        name=name,
        wheel="mediapipe==0.10.21",
        member=f"mediapipe/modules/face_detection/{name}.tflite",
        sha256=sha256,
        size_bytes=size_bytes,
        task="faces",
        role="face",
        variant=variant,
        licence="Apache-2.0",
    )


def _ppocr(role: str, *, member: str, sha256: str, size_bytes: int) -> KnownModel:
    return KnownModel(
        name=f"ppocr_v4_{role}",
        wheel="rapidocr-onnxruntime==1.4.4",
        member=f"rapidocr_onnxruntime/models/{member}",
        sha256=sha256,
        size_bytes=size_bytes,
        task="text",
        role=role,
        variant="mobile",
        licence="Apache-2.0",
    )


_ROWS = (
    _mediapipe_hand(
        "palm_detection_full",
        role="palm",
        variant="full",
        sha256="1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        size_bytes=2_339_846,
    ),
    _mediapipe_hand(
        "palm_detection_lite",
        role="palm",
        variant="lite",
        sha256="e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18",
        size_bytes=1_985_440,
    ),
    _mediapipe_hand(
        "hand_landmark_full",
        role="landmark",
        variant="full",
        sha256="11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        size_bytes=5_478_917,
    ),
    _mediapipe_hand(
        "hand_landmark_lite",
        role="landmark",
        variant="lite",
        sha256="048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
        size_bytes=2_071_597,
    ),
    _mediapipe_face(
        "face_detection_full_range_sparse",
        variant="sparse",
        sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        size_bytes=676_746,
    ),
    _ppocr(
        "det",
        member="ch_PP-OCRv4_det_infer.onnx",
        sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        size_bytes=4_745_517,
    ),
    _ppocr(
        "rec",
        member="ch_PP-OCRv4_rec_infer.onnx",
        sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        size_bytes=10_857_958,
    ),
)
MODELS: dict[str, KnownModel] = {row.name: row for row in _ROWS}
SETS: dict[str, tuple[str, ...]] = {
    task: tuple(row.name for row in _ROWS if row.task == task) for task in ("hands", "faces", "text")
}


def known(name_or_set: str) -> tuple[KnownModel, ...]:
    """Rows behind the name of a model or of a set.

    Raises:
        ZooError: no such name; lists those there are.
    """
    names = SETS.get(name_or_set, (name_or_set,))
    if any(name not in MODELS for name in names):
        choices = ", ".join([*SETS, *MODELS])
        raise ZooError(f"no known model or set is called {name_or_set!r}: choose one of {choices}")
    return tuple(MODELS[name] for name in names)


def is_intact(path: Path, row: KnownModel) -> bool:
    """Whether the file is there with exactly the row's bytes."""
    if not path.is_file() or path.stat().st_size != row.size_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256


def fetch(name_or_set: str, into: Path) -> dict[str, Path]:
    """Import a model or a set into a folder; no network is touched for files that are there and intact.

    Returns:
        Model name -> path of the model file.

    Raises:
        ZooError: unknown name, no network, or a file whose digest differs.
    """
    rows = known(name_or_set)
    paths = {row.name: into / row.file_name for row in rows}
    absent = [row for row in rows if not is_intact(paths[row.name], row)]
    for wheel in sorted({row.wheel for row in absent}):
        _import_from(wheel, [row for row in absent if row.wheel == wheel], into=into)
    return paths


def _import_from(wheel: str, rows: Iterable[KnownModel], *, into: Path) -> None:
    """Download one wheel beside the models, take the rows' members out and drop the wheel."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".import-") as scratch:
            archive = download_wheel(wheel, Path(scratch))
            with zipfile.ZipFile(archive) as members:
                for row in rows:
                    _place(members.read(row.member), row, scratch=Path(scratch), into=into)
    except OSError as error:
        raise ZooError(
            f"could not write models to {into}: {error}; free some space or set HEADWAY_CACHE"
        ) from error
    except (KeyError, zipfile.BadZipFile) as error:
        raise ZooError(
            f"the wheel {wheel} does not hold what it should ({error}): check your package index"
        ) from error


def download_wheel(requirement: str, into: Path, *, platform: str = _PLATFORM) -> Path:
    """Download one wheel as an archive, never to install it; returns its path.

    ``platform`` is the tag of the wheel that is taken, whatever this machine is.

    Raises:
        ZooError: pip is missing, the index cannot be reached or lacks the wheel.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", *_FIXED_PYTHON, platform, "--dest", str(into), requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ZooError(
            f"downloading {requirement} took over {_DOWNLOAD_TIMEOUT_S} s: try a faster network"
        ) from error
    wheels = sorted(into.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ZooError(
            f"could not download {requirement} ({reason}): connect to the network, "
            f"point pip at an index that has it (PIP_INDEX_URL), or copy the models into the cache by hand"
        )
    return wheels[0]


def _place(content: bytes, row: KnownModel, *, scratch: Path, into: Path) -> None:
    """Give a model file its name only after its digest was checked and its bytes are on the disk."""
    found = hashlib.sha256(content).hexdigest()
    if found != row.sha256:
        raise ZooError(
            f"{row.file_name} out of {row.wheel} has sha256 {found}, expected {row.sha256}: "
            f"do not use it, check your package index"
        )
    unnamed = scratch / row.file_name
    with unnamed.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unnamed.replace(into / row.file_name)
