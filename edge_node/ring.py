"""Shell: a file of ready frames that any number of processes map read-only and walk to and fro.

Layout: one 4096-byte header (magic, then JSON), then ``frames`` RGB images of one size without gaps. It is
written under a temporary name and appears whole or not at all. Pixels only: nothing here knows hands.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_node.errors import SourceError

MAGIC = b"HWRING1\n"
HEADER_BYTES = 4096

Image = NDArray[np.uint8]


class Ring:
    """Ready frames, mapped read-only."""

    def __init__(self, pixels: NDArray[np.uint8], *, fps: float, path: Path) -> None:
        self._pixels = pixels
        self.path = path
        self.fps = fps

    @property
    def frames(self) -> int:
        """Number of different frames."""
        return int(self._pixels.shape[0])

    @property
    def height(self) -> int:
        """Rows of a frame."""
        return int(self._pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns of a frame."""
        return int(self._pixels.shape[2])

    def index(self, position: int) -> int:
        """Which frame stands at a position of the endless walk to and fro."""
        return ping_pong(position, self.frames)

    def frame(self, index: int) -> Image:
        """A read-only view (H, W, 3) RGB."""
        view: Image = self._pixels[index]
        return view


def ping_pong(position: int, frames: int) -> int:
    """0, 1, … frames-1, frames-2, … 1, 0, 1, … without showing an end twice."""
    if frames == 1:
        return 0
    step = position % (2 * frames - 2)
    return step if step < frames else 2 * frames - 2 - step


def write_ring(
    path: Path, frames: Iterable[Image], *, count: int, height: int, width: int, fps: float
) -> None:
    """Write ``count`` frames (height, width, 3) as a ring file.

    Raises:
        SourceError: the disk refuses, or frames differ in number or shape from what was said.
    """
    header = MAGIC + json.dumps({"frames": count, "height": height, "width": width, "fps": fps}).encode()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(header.ljust(HEADER_BYTES, b" "))
            for image in frames:
                if image.shape != (height, width, 3):
                    raise SourceError(
                        f"frame {written} has shape {image.shape}, the ring takes {(height, width, 3)}"
                    )
                file.write(np.ascontiguousarray(image).data)
                written += 1
            file.flush()
        if written != count:
            raise SourceError(f"{written} frames came for a ring of {count}: render it again")
        temporary.replace(path)
    except OSError as error:
        raise SourceError(
            f"cannot write the frames to {path}: {error.strerror}; free some disk space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def open_ring(path: Path) -> Ring:
    """Map a ring file.

    Raises:
        SourceError: not there, not a ring, or cut short.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise SourceError(f"cannot read the frames in {path}: {error.strerror}; check the path") from error
    if not header.startswith(MAGIC):
        raise SourceError(f"{path} holds no frames of a walk: make it with `headway node walk`")
    try:
        meta = json.loads(header[len(MAGIC) :])
        shape = (int(meta["frames"]), int(meta["height"]), int(meta["width"]), 3)
        fps = float(meta["fps"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{path} has a damaged header: make it again with `headway node walk`") from error
    if min(shape) < 1 or size_bytes != HEADER_BYTES + int(np.prod(shape)):
        raise SourceError(f"{path} is cut short: make it again with `headway node walk`")
    pixels = np.memmap(path, dtype=np.uint8, mode="r", offset=HEADER_BYTES, shape=shape)
    return Ring(pixels, fps=fps, path=path)
