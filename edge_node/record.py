"""Shell: an overlay video (.mp4, mp4v) out of a run's event file and the frames it was made from.

``record`` reads a ring file; run as ``python -m edge_node.record EVENTS RING OUT`` it is the niced second
process, so that drawing and encoding never stand beside the frame loop. ``follow`` does the same for a live
source while it runs: it draws the newest answer onto the newest camera frame.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_node.errors import SourceError
from edge_node.live import SLOTS, Word, map_live
from edge_node.render import draw
from edge_node.ring import open_ring
from edge_node.thread_priority import BEHIND, stand_back
from edge_node.walk import HEIGHT_PX, WIDTH_PX

CODEC = "mp4v"
IDLE_END_S = 3.0  # a live run that answers nothing for so long is over
POLL_S = 0.02
LIVE = "live"

Line = Mapping[str, object]


class VideoFile:
    """A video that is being written."""

    def __init__(self, path: Path, *, width: int, height: int, fps: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the name is stated: the typing of this function lags behind the library
        codec = cv2.VideoWriter.fourcc(*CODEC)
        self._writer = cv2.VideoWriter(str(path), codec, fps, (width, height))
        self.frames = 0
        if not self._writer.isOpened():
            raise SourceError(
                f"cannot write a video to {path}: check the folder, and that the name ends in .mp4"
            )

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append a frame (H, W, 3) RGB."""
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


def read_lines(events: Path) -> Iterator[Line]:
    """The frame lines of an event file in frame order."""
    lines = (json.loads(text) for text in events.read_text(encoding="utf-8").splitlines())
    yield from sorted((line for line in lines if line["kind"] == "frame"), key=lambda line: line["frame_id"])


def record(events: Path, ring_file: Path, out: Path, *, headset: str | None = None) -> int:
    """Write the overlay video of a run over a ring; returns the number of frames.

    Raises:
        SourceError: the ring cannot be read or the video cannot be written.
    """
    ring = open_ring(ring_file)
    video = VideoFile(out, width=ring.width, height=ring.height, fps=ring.fps)
    shown = 0
    try:
        for line in read_lines(events):
            if headset is not None and line["headset"] != headset:
                continue
            index = line["ring_index"]
            shown = (
                index if isinstance(index, int) and index >= 0 else shown
            )  # a skipped frame shows the last
            video.add(draw(ring.frame(shown), line))
    finally:
        video.close()
    return video.frames


def _follow_lines(file: TextIO) -> Iterator[Line | None]:
    """Frame lines as they are written; None while there is none. Ends when nothing comes any more."""
    last_s, rest = time.monotonic(), ""
    while True:
        rest += file.readline()
        if not rest.endswith("\n"):
            if (
                time.monotonic() - last_s > IDLE_END_S
            ):  # asked only here: we may be the ones who were kept waiting
                return
            time.sleep(POLL_S)
            yield None
            continue
        line, rest, last_s = json.loads(rest), "", time.monotonic()
        if line["kind"] == "frame":
            yield line


def follow(events: Path, live_ring: Path, out: Path, *, fps: float) -> int:
    """Write the overlay video of a live run while it goes on; returns the number of frames."""
    words, slots = map_live(live_ring, create=False)
    video = VideoFile(out, width=WIDTH_PX, height=HEIGHT_PX, fps=fps)
    try:
        with events.open(encoding="utf-8") as file:
            for line in _present(_follow_lines(file)):
                count = int(words[Word.COUNT])
                video.add(draw(slots[(count - 1) % SLOTS], line))
    finally:
        video.close()
    return video.frames


def _present(lines: Iterable[Line | None]) -> Iterator[Line]:
    return (line for line in lines if line is not None)


def main(arguments: list[str]) -> int:
    """Record as the arguments say; returns the exit code."""
    cv2.setNumThreads(1)
    events, ring, out, *rest = arguments
    try:
        if rest[:1] == [LIVE]:
            stand_back()  # frames are being answered beside it
            frames = follow(Path(events), Path(ring), Path(out), fps=float(rest[1]))
        else:  # after the run, where it must come to its end too
            os.nice(BEHIND)
            frames = record(Path(events), Path(ring), Path(out))
    except (SourceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"file": out, "frames": frames}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
