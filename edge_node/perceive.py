"""The one place where the headset computes: a serial slot in front of the local models.

``Slot`` is the shell: one thread that runs one job at a time for real. ``Perception`` is pure around it: it
holds finished jobs until the device class would have finished them, and remembers how long jobs take. A
running job cannot be stopped; the engine of a job is fixed when the job starts, so models swap in between.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

import structlog

from edge_node.accelerator import Accelerator
from edge_node.device_class import Segment, Thermal
from edge_node.estimate import Quantiles
from edge_node.frames import Image
from edge_node.thread_priority import make_thread_nice
from inference.errors import InferenceError
from inference.tasks.hands import HandsResult
from inference.tasks.roi import Roi

_log = structlog.get_logger("edge_node.perceive")

# On a full machine whoever answers, sends and keeps the time has to wake before whoever computes:
# without it three headsets on two busy cores skipped up to 2 % of their frames, with it none.
SLOT_NICENESS = 5
MOST_LATE = 2


class Perceiver(Protocol):
    """What finds hands: ``inference.tasks.hands.HandTask`` or a stand-in."""

    def run(self, image_rgb: Image, *, rois: Sequence[Roi] = ()) -> HandsResult:
        """Find hands in an image (H, W, 3) RGB, looking into ``rois`` first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """Loaded models under one label. ``landmark`` says which row of the device class they cost."""

    task: Perceiver
    label: str
    digest: str
    landmark: Segment


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One frame for the slot."""

    frame_id: int
    image: Image
    rois: tuple[Roi, ...]
    engine: Engine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobDone:
    """A job that really ended; ``result`` is None where the model failed, with the reason in ``error``."""

    job: Job
    result: HandsResult | None
    error: str
    started_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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


class Slot:
    """One thread that runs one job at a time and hands each ``JobDone`` to ``deliver``."""

    def __init__(
        self, deliver: Callable[[JobDone], None], *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._deliver = deliver
        self._clock_ns = clock_ns
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="local-slot", daemon=True)
        self._thread.start()

    def start(self, job: Job) -> None:
        """Begin a job. Never blocks; the caller starts the next one only after the last was delivered."""
        self._jobs.put(job)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """End the thread after the job it runs."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        make_thread_nice(SLOT_NICENESS)
        while (job := self._jobs.get()) is not None:
            started_ns = self._clock_ns()
            result, error = _looked(job)
            done = JobDone(
                job=job, result=result, error=error, started_ns=started_ns, ended_ns=self._clock_ns()
            )
            self._deliver(done)


def _looked(job: Job) -> tuple[HandsResult | None, str]:
    """A job's result, or None and why. The thread must outlive every job, or nothing is local any more."""
    try:
        return job.engine.task.run(job.image, rois=job.rois), ""
    except InferenceError as problem:
        return None, str(problem)
    except Exception as problem:  # noqa: BLE001 - any failure of a model is a failed job; it is logged
        _log.exception("a local run failed in a way nobody foresaw", model=job.engine.label)
        return None, str(problem) or repr(problem)


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
        self._running: Job | None = None
        self._held: Perceived | None = None
        self.durations = Quantiles(prior_ns=prior_ns)
        self.use = SlotUse()
        self.runs: EngineRuns | None = None

    def watch(self, engine: Engine) -> None:
        """Count the runs of this engine from now on; those of the one before are forgotten."""
        if self.runs is None or self.runs.engine is not engine:
            self.runs = EngineRuns(engine=engine)

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
        """Whose result is held."""
        return None if self._held is None else self._held.done.job.frame_id

    def start(self, job: Job) -> None:
        """Begin a job.

        Raises:
            RuntimeError: the slot is busy; a caller's mistake.
        """
        if self.busy:
            raise RuntimeError("the local slot runs one job at a time: wait until it is not busy")
        self._running = job
        self._starter.start(job)

    def on_done(self, done: JobDone, *, thermal: Thermal) -> None:
        """Take in a job that really ended; its result is held until the device would have it."""
        self._running = None
        release = self._accelerator.release(
            segments(done), thermal=thermal, started_ns=done.started_ns, ended_ns=done.ended_ns
        )
        self._held = Perceived(
            done=done,
            released_ns=release.at_ns,
            host_late=release.host_late,
            device_ns=release.device_ns,
        )

    def take_due(self, *, now_ns: int) -> Perceived | None:
        """The held result once its time has come; frees the slot."""
        held = self._held
        if held is None or now_ns < held.released_ns:
            return None
        self._held = None
        duration_ns = held.released_ns - held.done.started_ns
        # a stall of the host says nothing of the next run: remembered whole, it would hedge every frame at once
        self.durations.add(min(duration_ns, MOST_LATE * held.device_ns))
        self.use.jobs += 1
        self.use.busy_ns += duration_ns
        self.use.host_late += held.host_late
        if held.done.result is None:
            self.use.failures += 1
            self.use.last_error = held.done.error
        if self.runs is not None and held.done.job.engine is self.runs.engine:
            self.runs.well += held.done.result is not None
            self.runs.failed += held.done.result is None
        return held


def segments(done: JobDone) -> list[Segment]:
    """What a job occupied the accelerator with; a failed one counts as one landmark run."""
    result, landmark = done.result, done.job.engine.landmark
    if result is None:
        return [landmark]
    looked = len(result.hands) + result.rejected
    return [Segment.PALM] * result.palm_ran + [landmark] * looked
