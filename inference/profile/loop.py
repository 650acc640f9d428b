"""Shell around the clock: the frame loop in which parts are timed, paced as a headset runs.

In every frame a picture is encoded, then the parts run one after another, then a fixed reference kernel. Back
to back a part would be timed faster than it ever runs: nothing cools down, sleeps or is displaced. What must
stay here: this order, and that only the parts' and the reference's own time is counted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Work = Callable[[], object]
_REFERENCE_SIDE = 96


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Some frames in a row. ``times_ns``: (parts, frames) int64; ``reference_ns``: the mean of their reference.

    The mean, because a median would not see that others took the processor away in some of the frames.

    ``late``: frames that were not done when the next one was due.
    """

    times_ns: npt.NDArray[np.int64]
    reference_ns: float
    late: int


@dataclass(slots=True, kw_only=True)
class FrameLoop:
    """Runs frames at a fixed rate. ``encode`` and ``reference`` run once a frame; 0 fps means unpaced.

    ``timer_ns`` times the work; on a machine that others use too, a thread's own processor time may serve.
    """

    fps: float
    encode: Work
    reference: Work
    timer_ns: Callable[[], int] = time.perf_counter_ns
    clock_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep
    _due_ns: int = field(default=0, init=False)

    def block(self, works: Sequence[Work], /, *, frames: int) -> Block:
        """Time ``works`` in each of ``frames`` frames, after one frame that is not counted."""
        times = np.zeros((len(works), frames + 1), dtype=np.int64)
        reference = np.zeros(frames + 1, dtype=np.int64)
        late = 0
        for frame in range(frames + 1):
            late += self._wait() and frame > 0
            self.encode()
            for number, work in enumerate(works):
                times[number, frame] = self._timed(work)
            reference[frame] = self._timed(self.reference)
        return Block(times_ns=times[:, 1:], reference_ns=float(reference[1:].mean()), late=int(late))

    def _timed(self, work: Work) -> int:
        started_ns = self.timer_ns()
        work()
        return self.timer_ns() - started_ns

    def _wait(self) -> bool:
        """Until the next frame is due; True where it was already."""
        if not self.fps:
            return False
        period_ns, now_ns = round(1e9 / self.fps), self.clock_ns()
        late = now_ns > self._due_ns
        if late:  # what was missed is not caught up: a camera does not wait either
            self._due_ns = now_ns
        else:
            self.sleep((self._due_ns - now_ns) / 1e9)
        self._due_ns += period_ns
        return late


def integer_reference() -> Work:
    """A fixed piece of work without threads or libraries: a product of two 96 x 96 matrices of int32."""
    size = _REFERENCE_SIDE * _REFERENCE_SIDE
    left, right = (
        (np.arange(size, dtype=np.int32) % prime).reshape(_REFERENCE_SIDE, -1) for prime in (127, 113)
    )
    return lambda: left @ right
