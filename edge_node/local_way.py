"""Pure core: the frames that wait for the one local slot, and which of them it takes next.

Newest first, at most ``waiting`` of them; what gives way is answered from memory at once. While frames go out,
one may be run here as a trial of the engine: under no frame's id, so that it answers nothing. Times are passed in.
"""

from edge_node.answers import Answers
from edge_node.decide import Path
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.hedge import is_worth_starting
from edge_node.perceive import Engine, Job, Perceived, Perception

TRIAL_FRAME = -1  # no frame has this id


class LocalWay:
    """The headset's own way of computing frames. ``flights`` are the journey's, oldest first."""

    def __init__(
        self,
        *,
        engine: Engine,
        perception: Perception,
        answers: Answers,
        flights: dict[int, Flight],
        waiting: int,
    ) -> None:
        self._engine = engine
        self.perception = perception
        self.perception.watch(engine)
        self._trial_wanted = False
        self._answers = answers
        self._flights = flights
        self._waiting = waiting

    @property
    def engine(self) -> Engine:
        """What the next local run starts with."""
        return self._engine

    def use(self, engine: Engine) -> None:
        """Start with this engine from the next run on."""
        self._engine = engine
        self.perception.watch(engine)

    def want_trial(self) -> None:
        """Run the engine once even where no frame needs it, as soon as the slot is free."""
        self._trial_wanted = True

    def queue(self, flight: Flight, *, now_ns: int) -> None:
        """Let a frame wait for the slot; the oldest of too many gives way, because fresh beats complete."""
        flight.local = Stage.WAITING
        flight.begin(Path.LOCAL, now_ns=now_ns)
        waiting = [f for f in self._flights.values() if f.local is Stage.WAITING]
        for oldest in waiting[: max(0, len(waiting) - self._waiting)]:
            self._drop_local(oldest, "superseded", now_ns=now_ns)

    def _drop_local(self, flight: Flight, result: str, *, now_ns: int) -> None:
        flight.local = Stage.ENDED
        flight.end(Path.LOCAL, now_ns=now_ns, result=result)
        if flight.answer is None and not flight.is_open:
            self._answers.carry(flight, now_ns=now_ns)

    def fill(self, *, now_ns: int) -> None:
        """Start the newest waiting frame: fresh beats complete, and an older one may still make it afterwards.

        The newest starts even where it will be late: it teaches the tracker, and without that one slow run
        would make every later one look hopeless for ever.
        """
        if self.perception.busy:
            return
        waiting = [f for f in self._flights.values() if f.local is Stage.WAITING]
        for flight in waiting[:-1]:
            if not self._is_worth_starting(flight, now_ns=now_ns):
                self._drop_local(flight, "no time left", now_ns=now_ns)
        open_ones = [f for f in waiting if f.local is Stage.WAITING and f.answer is None]
        for flight in [f for f in waiting if f.answer is not None]:
            self._drop_local(flight, "not needed", now_ns=now_ns)
        if open_ones:
            self._start_local(open_ones[-1])
        elif self._trial_wanted:
            self._start_trial()

    def _is_worth_starting(self, flight: Flight, *, now_ns: int) -> bool:
        return is_worth_starting(
            now_ns=now_ns, deadline_ns=flight.deadline_ns, local_p50_ns=self.perception.durations.at(0.5)
        )

    def _start_local(self, flight: Flight) -> None:
        if flight.captured is None:
            raise ValueError(f"frame {flight.frame_id} has no image: it cannot wait for the slot")
        flight.local = Stage.RUNNING
        self._start(flight, flight.captured, frame_id=flight.frame_id)

    def _start_trial(self) -> None:
        for flight in reversed(self._flights.values()):
            if flight.captured is not None:
                self._start(flight, flight.captured, frame_id=TRIAL_FRAME)
                return

    def _start(self, flight: Flight, captured: Captured, *, frame_id: int) -> None:
        self._trial_wanted = False  # any run tries the engine
        rois = self._answers.rois(flight)
        self.perception.start(Job(frame_id=frame_id, image=captured.image, rois=rois, engine=self._engine))

    def take(self, perceived: Perceived, *, now_ns: int) -> None:
        """A local run's result has come: answer its frame, if that still waits."""
        done = perceived.done
        flight = self._flights.get(done.job.frame_id)
        if flight is None:
            return
        flight.local = Stage.ENDED
        flight.host_late = flight.host_late or perceived.host_late
        flight.end(Path.LOCAL, now_ns=now_ns, result="error" if done.result is None else "ok")
        if done.result is not None:
            self._answers.fresh(
                flight, done.result, path=Path.LOCAL, model=done.job.engine.label, now_ns=now_ns
            )
