"""Shell: a witness of this host beside a measurement: how late it wakes who asked to be woken, and how busy it is.

Threads sleep 2 ms at a time and note how late they were woken. A headset's late answer that overlaps such a moment was
this host's doing. What the witness did not see is no proof of the opposite: another core may have been the busy one.
"""

from __future__ import annotations

import bisect
import os
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from bench.host_use import HostUse

NAP_NS = 2_000_000
KEPT_NS = 1_000_000  # shorter lateness is only counted
NS_PER_MS = 1e6
FRACTIONS = (0.5, 0.99, 0.999, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A time in which somebody who should run did not."""

    begin_ns: int
    end_ns: int


class Witness:
    """Watches the host while its block runs; a context manager. Each thread sleeps ``nap_ns`` at a time."""

    def __init__(self, *, threads: int | None = None, nap_ns: int = NAP_NS) -> None:
        self._nap_ns = nap_ns
        self._stopping = threading.Event()
        self._late: list[list[tuple[int, int]]] = [[] for _ in range(threads or os.cpu_count() or 1)]
        self._threads = [
            threading.Thread(target=self._watch, args=(seen,), name="witness", daemon=True)
            for seen in self._late
        ]
        self._use: dict[str, float] = {}

    def __enter__(self) -> Witness:
        self._before = HostUse.now()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._use = HostUse.now().since(self._before)

    def _watch(self, seen: list[tuple[int, int]]) -> None:
        while not self._stopping.is_set():
            due_ns = time.monotonic_ns() + self._nap_ns
            time.sleep(self._nap_ns / 1e9)
            seen.append((due_ns, time.monotonic_ns()))

    @property
    def seen(self) -> int:
        """How often its threads were woken so far."""
        return sum(len(seen) for seen in self._late)

    def stalls(self) -> list[Stall]:
        """The moments of lateness above 1 ms, in time order."""
        pairs = sorted(pair for seen in self._late for pair in seen if pair[1] - pair[0] > KEPT_NS)
        return [Stall(begin_ns=due_ns, end_ns=woken_ns) for due_ns, woken_ns in pairs]

    def lateness_ns(self) -> list[int]:
        """How late it was woken each time, smallest first."""
        return sorted(woken_ns - due_ns for seen in self._late for due_ns, woken_ns in seen)

    def facts(self) -> dict[str, Any]:
        """Use of the host and wake lateness, to stand beside the figures."""
        late = self.lateness_ns()
        at = {f"p{100 * fraction:g}": _at(late, fraction) for fraction in FRACTIONS}
        return {"cores": os.cpu_count(), **self._use, "wake_lateness_ms": at}


def _at(ordered: list[int], fraction: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] / NS_PER_MS, 3)


def longest_overlap_ns(stalls: list[Stall], begin_ns: int, end_ns: int) -> int:
    """The longest stall that touches this time; ``stalls`` in order of their begin."""
    last = bisect.bisect_right(stalls, end_ns, key=lambda stall: stall.begin_ns)
    touching = [stall for stall in stalls[max(0, last - 64) : last] if stall.end_ns >= begin_ns]
    return max((stall.end_ns - stall.begin_ns for stall in touching), default=0)
