"""Shell: the second process that reads a camera, a video or an RTSP stream into a live ring.

Run by ``edge_node.live`` as ``python -m edge_node.capture``; the first line of its standard input is the settings
as JSON, because an address may hold a password. A stream that drops is reopened with
growing pauses and counted; a video begins again at its end. It ends when its standard input closes, which
happens when the headset's process ends, however it ends. Says why on stderr and exits 3 when the first
opening fails.
"""

import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_node.live import SLOTS, Word, map_live
from edge_node.source_file import without_login
from edge_node.sources import letterbox

NICENESS = 10
OPEN_TIMEOUT_MS, READ_TIMEOUT_MS = 8000, 3000
FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
CANNOT_OPEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """What to read and where to put it."""

    kind: str
    target: str
    ring_file: str
    fps: float


def _stream(settings: CaptureSettings) -> cv2.VideoCapture:
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        READ_TIMEOUT_MS,
    ]
    return cv2.VideoCapture(settings.target, cv2.CAP_FFMPEG, timeouts)


def _webcam(settings: CaptureSettings) -> cv2.VideoCapture:
    return cv2.VideoCapture(int(settings.target))


OPENERS: dict[str, Callable[[CaptureSettings], cv2.VideoCapture]] = {
    "video": _stream,
    "rtsp": _stream,
    "webcam": _webcam,
}


def _parent_is_gone() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable)  # after the first line nobody writes here, so readable means closed


class Capturing:
    """One camera, kept open as well as the world allows."""

    def __init__(self, settings: CaptureSettings) -> None:
        self._settings = settings
        self._words, self._slots = map_live(Path(settings.ring_file), create=False)
        self._camera: cv2.VideoCapture | None = None
        self._next_s = time.monotonic()

    def open(self) -> bool:
        """Open the camera; False where it does not open."""
        camera = OPENERS[self._settings.kind](self._settings)
        self._camera = camera if camera.isOpened() else None
        self._words[Word.CONNECTED] = int(self._camera is not None)
        return self._camera is not None

    def run(self) -> None:
        """Copy frames until the parent is gone."""
        while not _parent_is_gone():
            image = self._read()
            if image is None:
                self._lost()
            else:
                self._put(image)
                self._pace()

    def _read(self) -> NDArray[np.uint8] | None:
        if self._camera is None:
            return None
        good, image = self._camera.read()
        if not good and self._settings.kind == "video":
            self._camera.set(cv2.CAP_PROP_POS_FRAMES, 0)  # from the start again
            good, image = self._camera.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8) if good else None

    def _put(self, image: NDArray[np.uint8]) -> None:
        count = int(self._words[Word.COUNT])
        self._slots[count % SLOTS] = letterbox(image)
        self._words[Word.COUNT] = count + 1

    def _pace(self) -> None:
        if self._settings.kind != "video" or self._camera is None:
            return  # cameras set their own pace
        fps = self._camera.get(cv2.CAP_PROP_FPS) or self._settings.fps
        self._next_s = max(self._next_s + 1 / fps, time.monotonic() - 1)
        time.sleep(max(0.0, self._next_s - time.monotonic()))

    def _lost(self) -> None:
        """Reopen with growing, jittered pauses."""
        self._words[Word.OUTAGES] += 1
        self._words[Word.CONNECTED] = 0
        pause_s = FIRST_PAUSE_S
        if self._camera is not None:
            self._camera.release()
        while not self.open() and not _parent_is_gone():
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause_s = min(LAST_PAUSE_S, 2 * pause_s)


def main(text: str) -> int:
    """Capture as the JSON settings say; returns the exit code."""
    settings = CaptureSettings(**json.loads(text))
    os.nice(NICENESS)
    cv2.setNumThreads(1)
    capturing = Capturing(settings)
    if not capturing.open():
        sys.stderr.write(
            f"cannot open {settings.kind} {without_login(settings.target)}: check that it exists and is not in use\n"
        )
        return CANNOT_OPEN
    capturing.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.readline()))
