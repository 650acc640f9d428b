"""Pure core: the virtual clock, and draws that belong to a name instead of to a turn.

Equal seed, purpose and number give equal draws whatever was drawn before, so that two policies meet the same world.
"""

import heapq
import random
from collections.abc import Callable
from zlib import crc32

MASK = (1 << 64) - 1


class Agenda:
    """What happens when, in order of time and then of entry."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._entries: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, when_ns: int, call: Callable[[], object]) -> None:
        """Do this at that time, or now where that is over."""
        self._count += 1
        heapq.heappush(self._entries, (max(when_ns, self.now_ns), self._count, call))

    def run(self, *, until_ns: int) -> None:
        """Let time pass up to and including ``until_ns``."""
        while self._entries and self._entries[0][0] <= until_ns:
            self.now_ns, _, call = heapq.heappop(self._entries)
            call()
        self.now_ns = until_ns


class Draws:
    """Even draws from [0, 1) by purpose and number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._purposes: dict[str, int] = {}

    def share(self, purpose: str, number: int) -> float:
        """The draw that belongs to this purpose and number."""
        salt = self._purposes.get(purpose)
        if salt is None:
            salt = self._purposes[purpose] = _mix(self._seed ^ crc32(purpose.encode()) << 20)
        return (_mix(salt + number * 0x9E3779B97F4A7C15) >> 11) * 2.0**-53


class JobDraws(random.Random):
    """For the accelerator: the draws of whichever frame holds the slot, so that runs of one frame cost alike."""

    def __init__(self, draws: Draws) -> None:
        super().__init__(0)
        self._draws = draws
        self._frame_id, self._turn = 0, 0

    def about(self, frame_id: int, *, done: int = 0) -> None:
        """Draw for this frame from now on, as if so many draws had been made: those of parts that it does not run."""
        self._frame_id, self._turn = frame_id, done

    def random(self) -> float:
        """The next draw of this frame."""
        self._turn += 1
        return self._draws.share(f"local {self._turn}", self._frame_id)


def _mix(number: int) -> int:
    number &= MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)
