"""Shell: the second process that draws and encodes what a run answered; see ``record`` for its work."""

import subprocess
import sys
from pathlib import Path

from edge_node.errors import SourceError
from edge_node.frames import Source
from edge_node.record import LIVE

FINISH_TIMEOUT_S = 300.0


class Recording:
    """One overlay video. Over a ring it is made after the run; over a live source while it goes on."""

    def __init__(self, source: Source, *, events: Path, out: Path, fps: float) -> None:
        command = [sys.executable, "-m", "edge_node.record", str(events), str(source.ring_file), str(out)]
        self._command = [*command, LIVE, str(fps)] if source.is_live else command
        self._child = self._start() if source.is_live else None

    def finish(self) -> None:
        """Complete the video.

        Raises:
            SourceError: it could not be made; says why.
        """
        child = self._child or self._start()
        try:
            _, complaint = child.communicate(timeout=FINISH_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            child.kill()
            child.communicate()
            raise SourceError(f"the video took over {FINISH_TIMEOUT_S:g} s and was given up") from error
        if child.returncode != 0:
            raise SourceError(f"the video could not be made: {complaint.strip() or child.returncode}")

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
