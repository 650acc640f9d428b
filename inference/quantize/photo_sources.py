"""Shell: photos and videos that a model is calibrated on and judged by, read one at a time.

A photo stands alone. A video is cut into stretches and frames are taken out of the middle half of each, so that
two stretches lie at least a second apart; each counts as a photo of its own. A video too short for three such
stretches counts as a single photo: neighbouring frames show the same picture.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, OracleError

Photo = NDArray[np.uint8]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
MAX_PHOTOS = 60
MIN_STRETCHES, MAX_STRETCHES = 3, 8
FRAMES_PER_STRETCH = 4
MIN_APART_S = 1.0
_ASSUMED_FPS = 30.0


def photo_paths(source: Path, /) -> tuple[Path, ...]:
    """Photos and videos of a folder, by name, photos evenly thinned to ``MAX_PHOTOS``; or the one video itself.

    Raises:
        InferenceError: there is no such folder, or nothing in it that can be read.
    """
    if source.is_file() and source.suffix.lower() in VIDEO_SUFFIXES:
        return (source,)
    if not source.is_dir():
        msg = (
            f"{source} is not a folder, and no video ending in {_words(VIDEO_SUFFIXES)}: "
            "pass the folder that holds the photos"
        )
        raise InferenceError(msg)
    inside = sorted(path for path in source.iterdir() if path.is_file())
    photos = [path for path in inside if path.suffix.lower() in PHOTO_SUFFIXES]
    videos = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES]
    if not photos and not videos:
        msg = (
            f"{source} holds no photo or video: pass a folder of JPEG or PNG photos, or of videos, "
            "that show what the task looks for"
        )
        raise InferenceError(msg)
    return (*photos[:: max(1, -(-len(photos) // MAX_PHOTOS))], *videos)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """A photo as RGB (H, W, 3), turned as its EXIF says.

    Raises:
        OracleError: OpenCV cannot decode the file.
    """
    image = cv2.imread(str(path))
    if image is None:
        raise OracleError(f"{path} cannot be decoded: is it a whole JPEG or PNG?")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_shown(paths: Sequence[Path], /) -> Iterator[tuple[Photo, ...]]:
    """Pictures in groups that share nothing: one for a photo, several for a video; RGB, one group in memory.

    Raises:
        InferenceError: a file cannot be read.
    """
    for path in paths:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            yield from _stretches(path)
        else:
            yield (read_photo(path),)


def frame_groups(frames: int, fps: float, /) -> list[list[int]]:
    """Which frames of a video are taken, in groups that share nothing."""
    # Half of a stretch lies between the frames of two neighbours.
    apart = min(MAX_STRETCHES, int(frames / (2 * MIN_APART_S * fps)))
    count = apart if apart >= MIN_STRETCHES else 1
    stretch = frames / count
    steps = 0.25 + (np.arange(FRAMES_PER_STRETCH) + 0.5) / (2 * FRAMES_PER_STRETCH)
    return [sorted({int(stretch * (number + step)) for step in steps}) for number in range(count)]


def _stretches(path: Path) -> Iterator[tuple[Photo, ...]]:
    with closing(_Frames(path)) as frames:
        for wanted in frame_groups(frames.count, frames.fps):
            if found := tuple(frames.take(wanted)):
                yield found


class _Frames:
    """A video read forwards: seeking lands on another frame with some encoders."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        self._position = 0
        self.count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS)) or _ASSUMED_FPS
        if not self._capture.isOpened() or self.count < 1:
            msg = f"{path} is no video that can be read, or does not say how long it is: convert it to .mp4"
            raise InferenceError(msg)

    def take(self, wanted: Sequence[int]) -> Iterator[Photo]:
        """Frames by number, rising; those that the file promised and does not hold are left out."""
        for number in wanted:
            while self._position <= number and self._capture.grab():
                self._position += 1
            if self._position != number + 1:
                return
            read, image = self._capture.retrieve()
            if not read:
                msg = f"frame {number} of {self._path} cannot be read: convert the video to .mp4 again"
                raise InferenceError(msg)
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        self._capture.release()


def _words(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffixes))
