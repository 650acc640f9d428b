"""Shell that runs one step of the set-up as a child process: progress, a full log, and the fix when it fails.

Standard library only. What pip complains about and what to do about it is one table here. Refuses to guess:
a failure that no row explains is shown as it is, with the log named.
"""

import collections
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headway.errors import SetupError

BEAT_S = 5.0
LONG_SILENCE = "Installing collected packages"
_DISK_FULL = "the disk is full: free about 2 GB and run again"
_NO_INDEX = (
    "no package index can be reached, or it lacks this package: connect to the network, or set PIP_INDEX_URL or "
    "PIP_FIND_LINKS to where the packages are, and run again"
)
# What a step says -> what to do about it, first match wins.
REMEDIES = (
    (r"No space left on device|Disk quota exceeded", _DISK_FULL),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "certificates do not verify: set PIP_CERT to your certificates and run again",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "your pip configuration demands other versions: lift that",
    ),
    (r"Connection|name resolution|Name or service|Network is unreach|[Tt]imed? ?out", _NO_INDEX),
    (r"Could not find a version|No matching distribution", _NO_INDEX),
)


@dataclass(kw_only=True)
class Progress:
    """Says what is being done and for how long it has been going on."""

    started_s: float = field(default_factory=time.monotonic)
    said_s: float = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_s

    def say(self, text: str) -> None:
        """Print one line."""
        self.said_s = time.monotonic()
        print(f"setup [{self.elapsed_s:4.0f} s] {text}", flush=True)

    def beat(self, text: str) -> None:
        """Print a line if there was none for a while, or if the step now goes silent for long."""
        if time.monotonic() - self.said_s >= BEAT_S or text.startswith(LONG_SILENCE):
            self.say(text[:100])


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where steps run. ``lock`` is a descriptor that children inherit: an orphan of a killed run still holds it."""

    folder: Path
    log_path: Path
    lock: int
    progress: Progress

    def run(self, command: Sequence[str]) -> None:
        """Run a command to its end.

        Raises:
            SetupError: it failed; names the fix where the table knows one.
        """
        tail: collections.deque[str] = collections.deque(maxlen=40)
        # PIP_USER would install beside the environment; the rest of the user's configuration is left alone.
        environ = {**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1"}
        with (
            self.log_path.open("a") as log,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environ,
                cwd=self.folder,
                pass_fds=[self.lock],
            ) as child,
        ):
            log.write(f"$ {' '.join(command)}\n")
            for line in child.stdout or ():
                log.write(line)
                tail.append(line.strip())
                if not line.startswith("WARNING"):
                    self.progress.beat(line.split(" (from ")[0].strip())
        if child.returncode != 0:
            raise SetupError(remedy(tail, log_path=self.log_path))


def remedy(said: Sequence[str], *, log_path: Path) -> str:
    """The fix for what a failed step said, with its last error line."""
    errors = [line for line in said if "rror" in line]
    last = (errors or list(said) or ["it said nothing"])[-1]
    text = "\n".join(said)
    for pattern, fix in REMEDIES:
        if re.search(pattern, text):
            return f"{fix}\n  ({last})"
    return f"{last}\n  (the whole output is in {log_path}; run again once its cause is gone)"
