"""Shell: frames of a live camera from a second process, through a small memory-mapped ring.

Layout of the file: eight int64 (see ``Word``), then ``SLOTS`` RGB images of one size. The writer fills the
slot after the newest and only then raises the count, so a reader copies a slot that is not written for two
more frames. The capturing process is ``edge_node.capture``; it ends when its parent does.
"""

import contextlib
import json
import subprocess
import sys
import time
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_node.errors import SourceError
from edge_node.frames import Captured
from edge_node.source_file import without_login
from edge_node.walk import HEIGHT_PX, WIDTH_PX

SLOTS = 4
WORDS = 8
START_TIMEOUT_S = 20.0
POLL_S = 0.02
STOP_TIMEOUT_S = 2.0


class Word(IntEnum):
    """What the int64 words of the header mean."""

    COUNT = 0  # frames written so far
    OUTAGES = 1  # times the camera was lost
    CONNECTED = 2  # 1 while frames come


def map_live(path: Path, *, create: bool) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The words and the slots (SLOTS, H, W, 3) of a live ring, shared with whoever else maps it."""
    slot_bytes = HEIGHT_PX * WIDTH_PX * 3
    if create:
        with path.open("wb") as file:
            file.truncate(WORDS * 8 + SLOTS * slot_bytes)
    words = np.memmap(path, dtype=np.int64, mode="r+", shape=(WORDS,))
    shape = (SLOTS, HEIGHT_PX, WIDTH_PX, 3)
    slots = np.memmap(path, dtype=np.uint8, mode="r+", offset=WORDS * 8, shape=shape)
    return words, slots


class LiveSource:
    """The newest frame of a captured camera."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        *,
        words: NDArray[np.int64],
        slots: NDArray[np.uint8],
        ring_file: Path,
        log_file: Path,
    ) -> None:
        self.ring_file = ring_file
        self.is_live = True
        self._child = child
        self._log_file = log_file
        self._words = words
        self._slots = slots
        self._seen = 0

    @property
    def outages(self) -> int:
        """How often the camera was lost so far."""
        return int(self._words[Word.OUTAGES])

    @classmethod
    def start(cls, *, kind: str, target: str, ring_file: Path, fps: float) -> "LiveSource":
        """Start the capturing process and wait for its first frame.

        Raises:
            SourceError: it could not open the camera, or no frame came in time.
        """
        words, slots = map_live(ring_file, create=True)
        settings = {"kind": kind, "target": target, "ring_file": str(ring_file), "fps": fps}
        log_file = ring_file.with_suffix(".log")
        log_file.touch(mode=0o600)
        with log_file.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "edge_node.capture"],
                stdin=subprocess.PIPE,  # one line for the settings; it ends when this closes
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        _tell(child, json.dumps(settings))
        source = cls(child, words=words, slots=slots, ring_file=ring_file, log_file=log_file)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while words[Word.COUNT] == 0:
            if child.poll() is not None:
                raise SourceError(source._last_words())
            if time.monotonic() > deadline_s:
                source.close()
                raise SourceError(
                    f"no frame came from {without_login(target)} within {START_TIMEOUT_S:g} s: check the camera"
                )
            time.sleep(POLL_S)
        return source

    def capture(self, frame_id: int) -> Captured | None:
        """The newest frame, None where none came since the last call."""
        del frame_id  # live: there is only the newest
        count = int(self._words[Word.COUNT])
        if count == self._seen:
            return None
        self._seen = count
        return Captured(image=self._slots[(count - 1) % SLOTS].copy(), ring_index=-1)

    def close(self) -> None:
        """End the capturing process."""
        if self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended by itself a moment ago
                self._child.stdin.close()
        try:
            self._child.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _last_words(self) -> str:
        self.close()
        text = self._log_file.read_text(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return (
            without_login(lines[-1])
            if lines
            else "the camera process ended without a word: try another --source"
        )


def _tell(child: "subprocess.Popen[bytes]", line: str) -> None:
    """Hand the settings over where no other process can read them: not among the arguments."""
    if child.stdin is None:
        raise ValueError("the capturing process was started without a way in")
    with contextlib.suppress(BrokenPipeError):  # it ended at once: its last words say why
        child.stdin.write(line.encode() + b"\n")
        child.stdin.flush()
