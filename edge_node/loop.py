"""Shell: the frame loop's thread. It waits, reads the clock, and tells the journey what happened.

Everything from other threads comes through one inbox, as a call to make. Frame ids follow wall time: frame k belongs to
``start + k / fps`` whether or not anything could be done about it; a frame whose successor is already due
when the loop gets to it counts as skipped and is answered from memory.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue

from edge_node.frames import Source
from edge_node.journey import Journey

NS_PER_S = 1_000_000_000
LONGEST_WAIT_NS = 50_000_000
FINISH_NS = 300_000_000  # how long frames may still be answered after the last was scheduled


News = Callable[[int], None]  # what happened, as something to do at the time it is given


class FrameLoop:
    """One headset's frames, from the first to the last."""

    def __init__(
        self,
        *,
        source: Source,
        journey: Journey,
        fps: float,
        frames: int | None,
        clock_ns: Callable[[], int],
        every_second: Callable[[int], None],
    ) -> None:
        self._source = source
        self._journey = journey
        self._inbox: SimpleQueue[News] = SimpleQueue()
        self._fps = fps
        self._frames = frames
        self._clock_ns = clock_ns
        self._every_second = every_second
        self._next_id = 0
        self._stopping = False

    @property
    def scheduled(self) -> int:
        """Frames scheduled so far."""
        return self._next_id

    def post(self, news: News) -> None:
        """Have something done on the loop's thread, at once and between frames. From any thread."""
        self._inbox.put(news)

    def stop(self) -> None:
        """Schedule no more; answer what is pending. From any thread and from signal handlers."""
        self._stopping = True

    def run(self) -> None:
        """Run until stopped or until the asked number of frames; every frame is answered at the end."""
        start_ns = self._clock_ns()
        next_second_ns = start_ns + NS_PER_S
        while not self._is_over():
            now_ns = self._clock_ns()
            self._schedule_due(start_ns, now_ns=now_ns)
            if now_ns >= next_second_ns:
                next_second_ns += NS_PER_S
                self._every_second(now_ns)
            self._journey.tick(self._clock_ns())
            self._wait(self._scheduled_ns(start_ns, self._next_id))
        self._finish()

    def _is_over(self) -> bool:
        return self._stopping or (self._frames is not None and self._next_id >= self._frames)

    def _scheduled_ns(self, start_ns: int, frame_id: int) -> int:
        return start_ns + round(frame_id * NS_PER_S / self._fps)

    def _schedule_due(self, start_ns: int, *, now_ns: int) -> None:
        """Schedule every frame whose moment has come; only the newest of them is captured."""
        while not self._is_over() and self._scheduled_ns(start_ns, self._next_id) <= now_ns:
            frame_id = self._next_id
            self._next_id += 1
            skipped = self._scheduled_ns(start_ns, self._next_id) <= now_ns
            captured = None if skipped else self._source.capture(frame_id)
            self._journey.schedule(
                frame_id,
                scheduled_ns=self._scheduled_ns(start_ns, frame_id),
                captured=captured,
                skipped=skipped,
                now_ns=self._clock_ns(),
            )

    def _wait(self, next_frame_ns: int) -> None:
        """Sleep until the next frame, the next duty or the next news, and take the news in."""
        due_ns = self._journey.next_due_ns()
        until_ns = next_frame_ns if due_ns is None else min(next_frame_ns, due_ns)
        left_ns = min(LONGEST_WAIT_NS, until_ns - self._clock_ns())
        woken_ns = self._clock_ns() + left_ns
        try:
            news = self._inbox.get(timeout=left_ns / NS_PER_S) if left_ns > 0 else self._inbox.get_nowait()
            while True:
                news(self._clock_ns())
                news = self._inbox.get_nowait()
        except Empty:
            if left_ns > 0:
                self._journey.lateness.add(max(0, self._clock_ns() - woken_ns))

    def _finish(self) -> None:
        end_ns = self._clock_ns() + FINISH_NS
        while self._journey.pending and (now_ns := self._clock_ns()) < end_ns:
            self._journey.tick(now_ns)
            self._wait(end_ns)
        self._journey.finish(now_ns=self._clock_ns())
