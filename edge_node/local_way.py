"""Pure core: the jobs that wait for the one local slot, and which of them it takes next.

Of the kinds in ``ORDER`` first, then the newest frame: a tail is short and ends a frame that is nearly there, a
whole run is a promise, a head only a try. At most ``waiting`` of a kind wait; what gives way is answered from memory
at once. While frames go out, one may be run here as a trial of the engine: under no frame's id, so that it answers
nothing. Times are passed in.
"""

from collections.abc import Callable

from edge_node.answers import Answers
from edge_node.decide import Path
from edge_node.flight import Flight, Stage
from edge_node.frames import Captured
from edge_node.hedge import TENTH, is_worth_starting
from edge_node.jobs import Engine, Job, JobKind
from edge_node.perceive import Perceived, Perception
from inference.split.hands import Returned

TRIAL_FRAME = -1  # no frame has this id
SLOW = 0.99  # of the newest runs: what one is taken for where another waits behind it
ORDER = (JobKind.TAIL, JobKind.WHOLE, JobKind.HEAD)
WAYS = {JobKind.WHOLE: Path.LOCAL, JobKind.HEAD: Path.SPLIT, JobKind.TAIL: Path.SPLIT}


class LocalWay:
    """The headset's own way of computing frames. ``flights`` are the journey's, oldest first.

    ``on_head`` is told of every frame whose head is done, in time or not.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        perception: Perception,
        answers: Answers,
        flights: dict[int, Flight],
        waiting: int,
        on_head: Callable[[Flight, int], None],
    ) -> None:
        self.engine = engine  # what the next local run starts with; changed by ``use``
        self.perception = perception
        self.perception.watch(engine)
        self._trial_wanted = False
        self._answers = answers
        self._flights = flights
        self._waiting = waiting
        self._queued: dict[int, Flight] = {}  # frames one of whose jobs waits, and some that waited
        self._on_head = on_head

    def use(self, engine: Engine, *, now_ns: int) -> None:
        """Start with this engine from the next run on.

        Heads that still wait become whole runs: their worker was chosen for the parts of the engine before.
        """
        if engine is not self.engine:
            for flight in self._those_waiting(JobKind.HEAD):
                self.queue(flight, now_ns=now_ns, instead_of_head="another engine")
        self.engine = engine
        self.perception.watch(engine)

    def want_trial(self) -> None:
        """Run the engine once even where no frame needs it, as soon as the slot is free."""
        self._trial_wanted = True

    def queue(self, flight: Flight, *, now_ns: int, instead_of_head: str = "no time left") -> None:
        """Let a frame wait to be computed whole; a head of it that still waits is not worth it any more."""
        if flight.jobs[JobKind.HEAD] is Stage.WAITING:
            flight.jobs[JobKind.HEAD] = Stage.ENDED
            flight.end(Path.SPLIT, now_ns=now_ns, result=instead_of_head)
        flight.begin(Path.LOCAL, now_ns=now_ns)
        self._enter(flight, JobKind.WHOLE, now_ns=now_ns)

    def queue_head(self, flight: Flight, engine: Engine, *, now_ns: int) -> None:
        """Let a frame wait for its head, which is that of ``engine``: this one, at one of its cuts."""
        flight.engine = engine
        flight.begin(Path.SPLIT, now_ns=now_ns)
        self._enter(flight, JobKind.HEAD, now_ns=now_ns)

    def queue_tail(self, flight: Flight, returned: Returned, *, now_ns: int) -> None:
        """Let a frame wait for its tail: the worker's tensors are here."""
        flight.returned = returned
        self._enter(flight, JobKind.TAIL, now_ns=now_ns)

    def _enter(self, flight: Flight, kind: JobKind, *, now_ns: int) -> None:
        flight.jobs[kind] = Stage.WAITING
        self._queued[flight.frame_id] = flight
        if len(self._queued) <= self._waiting:
            return
        waiting = self._those_waiting(kind)
        for oldest in waiting[: max(0, len(waiting) - self._waiting)]:  # fresh beats complete
            self._drop(oldest, kind, "superseded", now_ns=now_ns)

    def _those_waiting(self, kind: JobKind) -> list[Flight]:
        """Oldest first: one that was answered long ago may have come back for its tail."""
        there = [f for f in self._queued.values() if _waits(f, kind) and f.frame_id in self._flights]
        return there if len(there) < 2 else sorted(there, key=_frame_id)

    def _drop(self, flight: Flight, kind: JobKind, result: str, *, now_ns: int) -> None:
        flight.jobs[kind] = Stage.ENDED
        flight.due_ns = 0  # nothing may hold it any more
        flight.end(WAYS[kind], now_ns=now_ns, result=result)
        if flight.answer is None and not flight.is_open:
            self._answers.carry(flight, now_ns=now_ns)

    def fill(self, *, now_ns: int) -> None:
        """Start the newest waiting frame: fresh beats complete, and an older one may still make it afterwards.

        The newest starts even where it will be late: it teaches the tracker, and without that one slow run
        would make every later one look hopeless for ever. So does the tail of a frame that was carried, if nothing else waits.
        An older one that can wait no longer goes before a newest that can.
        """
        if self.perception.busy or not (self._queued or self._trial_wanted):
            return
        waiting = self._waiting_by_kind()
        if not waiting and not self._trial_wanted:
            return
        if self._start_the_only_one(waiting, now_ns=now_ns):
            return
        late_tails = []
        for kind, flights in waiting.items():
            flights.sort(key=_frame_id)
            late_tails += self._sort_out(flights, kind, now_ns=now_ns)
        open_ones = {
            kind: kept
            for kind in ORDER
            if (kept := [f for f in waiting.get(kind, ()) if f.answer is None and _waits(f, kind)])
        }
        self._start_one(open_ones, late_tails, now_ns=now_ns)

    def _start_the_only_one(self, waiting: dict[JobKind, list[Flight]], *, now_ns: int) -> bool:
        """As nearly always: one job waits, and its frame for it."""
        if len(waiting) != 1:
            return False
        ((kind, flights),) = waiting.items()
        if len(flights) != 1 or flights[0].answer is not None:
            return False
        self._start_job(flights[0], kind, now_ns=now_ns)
        return True

    def _waiting_by_kind(self) -> dict[JobKind, list[Flight]]:
        """Whose jobs wait; who waits no more, or is no frame of ours any more, leaves the queue."""
        waiting: dict[JobKind, list[Flight]] = {}
        for frame_id, flight in list(self._queued.items()):
            kinds = [kind for kind, stage in flight.jobs.items() if stage is Stage.WAITING]
            if not kinds or frame_id not in self._flights:
                del self._queued[frame_id]
                continue
            for kind in kinds:
                waiting.setdefault(kind, []).append(flight)
        return waiting

    def _sort_out(self, flights: list[Flight], kind: JobKind, *, now_ns: int) -> list[Flight]:
        """Drop those for which a run would come to nothing; gives the tails that may still teach."""
        for flight in flights[:-1]:
            if not self._is_worth_starting(flight, kind, now_ns=now_ns):
                self._drop(flight, kind, "no time left", now_ns=now_ns)
        late_tails = []
        for flight in [f for f in flights if f.answer is not None and _waits(f, kind)]:
            if kind is JobKind.TAIL and flight.is_carried:
                late_tails.append(flight)
            else:
                self._drop(flight, kind, "not needed", now_ns=now_ns)
        return late_tails

    def _start_one(
        self, open_ones: dict[JobKind, list[Flight]], late_tails: list[Flight], *, now_ns: int
    ) -> None:
        if open_ones:
            kind, flights = next(iter(open_ones.items()))
            self._start_job(self._next_of(flights, kind, now_ns=now_ns), kind, now_ns=now_ns)
        elif self._trial_wanted:
            self._start_trial(now_ns=now_ns)
        elif late_tails:
            self._start_job(late_tails.pop(), JobKind.TAIL, now_ns=now_ns)
        for flight in late_tails:
            self._drop(flight, JobKind.TAIL, "not needed", now_ns=now_ns)

    def _next_of(self, flights: list[Flight], kind: JobKind, *, now_ns: int) -> Flight:
        """The newest, or the oldest whole run if behind the newest it would be late, and before it neither is."""
        oldest, newest = flights[0], flights[-1]
        if kind is not JobKind.WHOLE or oldest is newest:
            return newest
        slow_ns = self.perception.times.usual_ns(kind, SLOW, regions=newest.regions)
        in_a_hurry = now_ns + 2 * slow_ns > _must_end_ns(oldest)
        both_fit = now_ns + slow_ns <= _must_end_ns(oldest) and now_ns + 2 * slow_ns <= _must_end_ns(newest)
        return oldest if in_a_hurry and both_fit else newest

    def _is_worth_starting(self, flight: Flight, kind: JobKind, *, now_ns: int) -> bool:
        engine = flight.engine or self.engine
        typical_ns = self.perception.times.usual_ns(
            kind, 0.5, regions=flight.regions, share=engine.share(kind), cut=engine.cut
        )
        return is_worth_starting(now_ns=now_ns, deadline_ns=flight.deadline_ns, local_p50_ns=typical_ns)

    def _start_job(self, flight: Flight, kind: JobKind, *, now_ns: int) -> None:
        if flight.captured is None:
            raise ValueError(f"frame {flight.frame_id} has no image: it cannot wait for the slot")
        flight.jobs[kind] = Stage.RUNNING
        if not flight.waits:
            del self._queued[flight.frame_id]
        self._start(flight, flight.captured, frame_id=flight.frame_id, kind=kind, now_ns=now_ns)

    def _start_trial(self, *, now_ns: int) -> None:
        for flight in reversed(self._flights.values()):
            if flight.captured is not None:
                self._start(flight, flight.captured, frame_id=TRIAL_FRAME, kind=JobKind.WHOLE, now_ns=now_ns)
                return

    def _start(
        self, flight: Flight, captured: Captured, *, frame_id: int, kind: JobKind, now_ns: int
    ) -> None:
        tail, whole = kind is JobKind.TAIL, kind is JobKind.WHOLE
        if not tail:
            self._trial_wanted = False  # any run that begins with pixels tries the engine
        self.perception.start(
            Job(
                frame_id=frame_id,
                image=captured.image,
                rois=self._answers.rois(flight),
                engine=self.engine if whole or flight.engine is None else flight.engine,
                kind=kind,
                looked=flight.looked if tail else None,
                returned=flight.returned if tail else (),
            ),
            now_ns=now_ns,
        )

    def take(self, perceived: Perceived, *, now_ns: int) -> None:
        """A job's result has come: answer its frame, if that still waits, or go on with its head."""
        done = perceived.done
        flight = self._flights.get(done.job.frame_id)
        if flight is None:
            return
        kind = done.job.kind
        flight.jobs[kind] = Stage.ENDED
        flight.host_late = flight.host_late or perceived.host_late
        if done.looked is not None:
            flight.engine, flight.looked = done.job.engine, done.looked
            self._on_head(flight, now_ns)
            return
        flight.end(WAYS[kind], now_ns=now_ns, result="error" if done.result is None else "ok")
        if done.result is not None:
            self._answers.fresh(
                flight, done.result, path=WAYS[kind], model=done.job.engine.label, now_ns=now_ns
            )
        elif kind is not JobKind.WHOLE:
            flight.hedge_now = True


def _waits(flight: Flight, kind: JobKind) -> bool:
    return flight.jobs[kind] is Stage.WAITING


def _frame_id(flight: Flight) -> int:
    return flight.frame_id


def _must_end_ns(flight: Flight) -> int:
    """A run that ends later may find its frame carried already."""
    return flight.deadline_ns - (flight.deadline_ns - flight.scheduled_ns) // TENTH
