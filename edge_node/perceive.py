"""Pure core: the one local slot as the device has it, serial, and as slow as the device class.

Holds finished jobs until the device class would have finished them, and remembers how long jobs take. The jobs
really run elsewhere (``edge_node.slot``).
"""

from dataclasses import dataclass, field
from typing import Protocol

from edge_node.accelerator import Accelerator
from edge_node.device_class import DeviceClass, Portion, Segment, Thermal
from edge_node.jobs import Engine, Job, JobDone, JobKind
from edge_node.kept_times import RunBook
from edge_node.run_times import RunTimes

MOST_LATE = 2


@dataclass(slots=True, kw_only=True, eq=False)
class Perceived:
    """A job's result as the device has it: usable from ``released_ns`` on."""

    done: JobDone
    released_ns: int
    host_late: bool
    device_ns: int


class Starter(Protocol):
    """What takes jobs: the slot's thread, or a stand-in."""

    def start(self, job: Job) -> None:
        """Begin a job; its ``JobDone`` comes back later. Never blocks."""


@dataclass(slots=True, kw_only=True)
class SlotUse:
    """What the slot was used for since the start."""

    jobs: int = 0
    failures: int = 0
    host_late: int = 0
    busy_ns: int = 0
    last_error: str = field(default="")


@dataclass(slots=True, kw_only=True)
class EngineRuns:
    """How the runs of one engine ended since it was put in place."""

    engine: Engine
    well: int = 0
    failed: int = 0


class Perception:
    """The slot as the device has it: serial, and as slow as the device class."""

    def __init__(self, starter: Starter, *, accelerator: Accelerator, prior_ns: int) -> None:
        self._starter = starter
        self._accelerator = accelerator
        self._running: tuple[Job, int] | None = None  # and since when
        self._held: Perceived | None = None
        self._held_so: tuple[Thermal, bool] = (
            Thermal.NOMINAL,
            False,
        )  # how hot, and whether frames left meanwhile
        self.times = RunTimes(prior_ns=prior_ns)
        self.use = SlotUse()
        self.runs: EngineRuns | None = None
        self._book: RunBook | None = None

    def watch(self, engine: Engine) -> None:
        """Count the runs of this engine from now on; those of the one before are forgotten, and its times kept in the book."""
        if self.runs is None or self.runs.engine is not engine:
            self.keep_times()
            self.runs = EngineRuns(engine=engine)
            self.times.forget()
            self._recall()

    def use_book(self, book: RunBook) -> None:
        """Begin with what this book knows of the engine in place, and keep what is learned there."""
        self._book = book
        self._recall()

    def _recall(self) -> None:
        if self.runs is not None and self._book is not None:
            self.times.restore(self._book.rows(self.runs.engine))

    def keep_times(self) -> None:
        """Enter in the book what is known of the engine that runs now."""
        if self.runs is not None and self._book is not None:
            self._book.keep(self.runs.engine, self.times.whole_rows())

    @property
    def device(self) -> DeviceClass:
        """The kind of headset this is."""
        return self._accelerator.device

    @property
    def busy(self) -> bool:
        """Whether the device still works on a job."""
        return self._running is not None or self._held is not None

    @property
    def due_ns(self) -> int | None:
        """When the held result may be used; None where none is held."""
        return None if self._held is None else self._held.released_ns

    @property
    def held_frame(self) -> int | None:
        """Whose answer is held; what a head found is none."""
        done = None if self._held is None else self._held.done
        return None if done is None or done.job.kind is JobKind.HEAD else done.job.frame_id

    def free_ns(self, now_ns: int) -> int:
        """When the slot will probably be free: now, when a held result is due, or when what runs usually ends."""
        if self._held is not None:
            return max(now_ns, self._held.released_ns)
        if self._running is None:
            return now_ns
        job, since_ns = self._running
        share, cut = job.engine.share(job.kind), job.engine.cut
        usual_ns = self.times.usual_ns(job.kind, 0.5, regions=len(job.rois), share=share, cut=cut)
        return max(now_ns, since_ns + usual_ns)

    def start(self, job: Job, *, now_ns: int) -> None:
        """Begin a job.

        Raises:
            RuntimeError: the slot is busy; a caller's mistake.
        """
        if self.busy:
            raise RuntimeError("the local slot runs one job at a time: wait until it is not busy")
        self._running = (job, now_ns)
        self._starter.start(job)

    def on_done(self, done: JobDone, *, thermal: Thermal, encoding: bool = False) -> int:
        """Take in a job that really ended; its result is held until the device would have it: gives until when.

        ``encoding``: frames were encoded and sent while it ran, or just before.
        """
        self._running = None
        self._held_so = (thermal, encoding)
        release = self._accelerator.release(
            portions(done), thermal=thermal, started_ns=done.started_ns, ended_ns=done.ended_ns
        )
        self._held = Perceived(
            done=done,
            released_ns=release.at_ns,
            host_late=release.host_late,
            device_ns=release.device_ns,
        )
        return release.at_ns

    def take_due(self, *, now_ns: int) -> Perceived | None:
        """The held result once its time has come; frees the slot."""
        held = self._held
        if held is None or now_ns < held.released_ns:
            return None
        self._held = None
        duration_ns = held.released_ns - held.done.started_ns
        # a stall of the host says nothing of the next run: remembered whole, it would hedge every frame at once
        self._remember(held.done.job, min(duration_ns, MOST_LATE * held.device_ns))
        self.use.jobs += 1
        self.use.busy_ns += duration_ns
        self.use.host_late += held.host_late
        failed = held.done.failed
        if failed:
            self.use.failures += 1
            self.use.last_error = held.done.error
        if self.runs is not None and self.runs.engine.covers(held.done.job.engine):
            self.runs.well += not failed
            self.runs.failed += failed
        return held

    def _remember(self, job: Job, duration_ns: int) -> None:
        if self.runs is None or not self.runs.engine.covers(job.engine):
            return
        thermal, encoding = self._held_so
        self.times.add(
            job.kind,
            duration_ns,
            regions=len(job.rois),
            cut=job.engine.cut,
            thermal=thermal,
            encoding=encoding,
        )


def portions(done: JobDone) -> list[Portion]:
    """What a job occupied the accelerator with; a failed one counts as one landmark run.

    A head or tail counts as that share of the class's landmark row which the part took of a whole run when both were
    measured on this host: the one thing a class, whose rows are of whole models, does not say itself.
    """
    landmark: Segment = done.job.engine.landmark
    share = done.job.engine.share(done.job.kind)
    looked = done.looked
    if looked is not None:
        return [Portion(Segment.PALM)] * looked.palm_ran + [Portion(landmark, share)] * len(looked.rois)
    result = done.result
    if result is None:
        return [Portion(landmark, share)]
    ran = len(result.hands) + result.rejected
    palm = result.palm_ran and done.job.kind is JobKind.WHOLE
    return [Portion(Segment.PALM)] * palm + [Portion(landmark, share)] * ran
