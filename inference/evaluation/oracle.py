"""Reads reference answers: JSON files in which another implementation says which hands it saw where.

Photos: ``{"images": {"folder/file": {"width", "height", "hands": [{"landmarks": [[x, y, z] * 21]}]}}}``;
videos: ``{"videos": {"folder/file": {"width", "height", "fps", "frames": [[hand, ...], ...]}}}``; x and y
are fractions of width and height. Refuses anything else with the place named; entries whose file is not in
the given folder are somebody else's and are left out. Only this file knows the form.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import OracleError

N_LANDMARKS = 21

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferencePhoto:
    """One photo, its size in pixels and its hands, each (21, 2) in pixels."""

    path: Path
    width: int
    height: int
    hands: tuple[Points, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceVideo:
    """One video, its size in pixels, its rate and the hands of each frame, each (21, 2) in pixels."""

    path: Path
    width: int
    height: int
    fps: float
    frames: tuple[tuple[Points, ...], ...]


def read_photos(oracle: Path, *, folder: Path) -> list[ReferencePhoto]:
    """The photos of an oracle that lie in a folder, by name.

    Raises:
        OracleError: no such file or folder, not of the form, or no entry's file lies in the folder.
    """
    photos = []
    for name, path, entry in _entries(oracle, key="images", folder=folder):
        width, height = _size(entry, where=name)
        hands = _hands(_field(entry, "hands", where=name), width, height, where=name)
        photos.append(ReferencePhoto(path=path, width=width, height=height, hands=hands))
    return photos


def read_videos(oracle: Path, *, folder: Path) -> list[ReferenceVideo]:
    """The videos of an oracle that lie in a folder, by name.

    Raises:
        OracleError: no such file or folder, not of the form, or no entry's file lies in the folder.
    """
    videos = []
    for name, path, entry in _entries(oracle, key="videos", folder=folder):
        width, height = _size(entry, where=name)
        fps = _field(entry, "fps", where=name)
        frames = _field(entry, "frames", where=name)
        if not _is_positive(fps) or not isinstance(frames, list):
            raise OracleError(f"{oracle}: {name} needs a positive fps and a list of frames")
        hands = tuple(
            _hands(frame, width, height, where=f"{name} frame {i}") for i, frame in enumerate(frames)
        )
        videos.append(ReferenceVideo(path=path, width=width, height=height, fps=float(fps), frames=hands))
    return videos


def _entries(oracle: Path, *, key: str, folder: Path) -> list[tuple[str, Path, dict[str, Any]]]:
    """(name, path, entry) of each entry whose file is in the folder, in the order of their names."""
    if not folder.is_dir():
        raise OracleError(f"{folder} is not a folder: pass the folder that holds the files")
    entries = _read(oracle).get(key)
    if not isinstance(entries, dict):
        raise OracleError(f"{oracle} has no object {key!r}: is it an oracle of {key}?")
    mine: dict[Path, str] = {}
    for name in sorted(entries):
        path = folder / PurePosixPath(name).name
        # Two folders may hold a file of one name: the entry that names this folder is meant.
        if path.is_file() and (path not in mine or PurePosixPath(name).parent.name == folder.resolve().name):
            mine[path] = name
    if not mine:
        raise OracleError(f"none of the {len(entries)} files that {oracle} describes lies in {folder}")
    broken = [name for name in mine.values() if not isinstance(entries[name], dict)]
    if broken:
        raise OracleError(f"{oracle}: {broken[0]} is not an object")
    return [(name, path, entries[name]) for path, name in sorted(mine.items())]


def _read(oracle: Path) -> dict[str, Any]:
    try:
        document = json.loads(oracle.read_text(encoding="utf-8"))
    except OSError as error:
        raise OracleError(f"cannot read the oracle {oracle}: {error.strerror}") from error
    except ValueError as error:
        raise OracleError(f"{oracle} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise OracleError(f"{oracle} is not a JSON object")
    return document


def _field(entry: dict[str, Any], name: str, *, where: str) -> Any:
    if name not in entry:
        raise OracleError(f"oracle entry {where} has no {name!r}")
    return entry[name]


def _size(entry: dict[str, Any], *, where: str) -> tuple[int, int]:
    sides = [_field(entry, name, where=where) for name in ("width", "height")]
    if not all(isinstance(side, int) and _is_positive(side) for side in sides):
        raise OracleError(f"oracle entry {where} has width and height {sides}: they must be positive pixels")
    return sides[0], sides[1]


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _hands(hands: object, width: int, height: int, *, where: str) -> tuple[Points, ...]:
    if not isinstance(hands, list):
        raise OracleError(f"oracle entry {where}: hands must be a list")
    return tuple(_points(hand, width, height, where=f"{where} hand {i}") for i, hand in enumerate(hands))


def _points(hand: object, width: int, height: int, *, where: str) -> Points:
    landmarks = hand.get("landmarks") if isinstance(hand, dict) else None
    try:
        points = np.array(landmarks, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OracleError(f"oracle entry {where}: landmarks are not numbers ({error})") from error
    if points.ndim != 2 or len(points) != N_LANDMARKS or points.shape[1] < 2 or not np.isfinite(points).all():
        raise OracleError(f"oracle entry {where}: landmarks must be {N_LANDMARKS} finite points x, y")
    scaled: Points = points[:, :2] * np.array([width, height])
    return scaled
