"""Vocabulary of sources: a captured frame, and what every source of frames offers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """One frame: pixels (H, W, 3) RGB, read-only, and its place in the ring (-1 for live sources)."""

    image: Image
    ring_index: int


class Source(Protocol):
    """A camera or what stands for one."""

    @property
    def outages(self) -> int:
        """How often the camera was lost so far."""

    @property
    def ring_file(self) -> Path:
        """The file through which its frames are shared."""

    @property
    def is_live(self) -> bool:
        """Whether a frame is gone when newer ones came."""

    def capture(self, frame_id: int) -> Captured | None:
        """The newest frame, or None where there is none newer than the last. Never waits."""

    def close(self) -> None:
        """Let go of files and processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlace:
    """What opening a source may need: where the node may write, its frame rate, its start in a shared ring."""

    state: Path
    fps: float
    offset: int = 0
    seed: int = 1
