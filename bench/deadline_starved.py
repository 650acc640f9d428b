"""Shell: how long threads of other processes stood ready and got no core, as the kernel itself accounts it (Linux).

A headset's frames are the work of its process's first thread. A frame that was late while that thread waited for a
core was this host's doing, whatever a witness on another core saw. Where the kernel keeps no such account nothing is
ever called starved.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from bench.deadline_witness import KEPT_NS, Stall

LOOK_S = 0.005
WAITED = 1  # of the account: nanoseconds on a core, nanoseconds waiting for one, turns


class Starved:
    """Watches the first threads of these processes (name -> process id); a context manager."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._accounts = {name: Path(f"/proc/{pid}/task/{pid}/schedstat") for name, pid in pids.items()}
        self._found: dict[str, list[Stall]] = {name: [] for name in pids}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="starved", daemon=True)

    def __enter__(self) -> Starved:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def stalls(self, name: str) -> list[Stall]:
        """Waits above 1 ms between two looks, each as long as the wait and ending with the look that found it."""
        return list(self._found[name])

    def _watch(self) -> None:
        before = {name: _waited_ns(path) for name, path in self._accounts.items()}
        while not self._stopping.wait(LOOK_S):
            for name, path in self._accounts.items():
                waited_ns = _waited_ns(path)
                if waited_ns - before[name] > KEPT_NS:
                    now_ns = time.monotonic_ns()
                    stall = Stall(begin_ns=now_ns - (waited_ns - before[name]), end_ns=now_ns)
                    self._found[name].append(stall)
                before[name] = waited_ns


def _waited_ns(path: Path) -> int:
    # a process that has ended, or a system without this account
    with contextlib.suppress(OSError):
        return int(path.read_text().split()[WAITED])
    return 0
