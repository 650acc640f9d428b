"""Shell: the one thread on which this headset computes, one job at a time.

A running job cannot be stopped; the engine of a job is fixed when the job starts, so models swap in between.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from edge_node.jobs import Job, JobDone, JobKind
from edge_node.thread_priority import stand_beside
from inference.errors import InferenceError, TaskError
from inference.split.hands import Looked
from inference.tasks.hands import HandsResult

_log = structlog.get_logger("edge_node.slot")

# On a full machine whoever answers, sends and keeps the time has to wake before whoever computes: without it three
# headsets on two busy cores skipped up to 2 % of their frames, with it none. Real-time priorities do that better: a
# thread that only stands back can be put off its core by any process while it holds the interpreter.
SLOT_NICENESS = 5


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
        stand_beside(otherwise_nice=SLOT_NICENESS)
        while (job := self._jobs.get()) is not None:
            started_ns = self._clock_ns()
            found, error = _done(job)
            self._deliver(
                JobDone(
                    job=job,
                    result=found if isinstance(found, HandsResult) else None,
                    looked=found if isinstance(found, Looked) else None,
                    error=error,
                    started_ns=started_ns,
                    ended_ns=self._clock_ns(),
                )
            )


def _done(job: Job) -> tuple[HandsResult | Looked | None, str]:
    """What a job came to, or None and why. The thread must outlive every job, or nothing is local any more."""
    try:
        return RUNS[job.kind](job), ""
    except InferenceError as problem:
        return None, str(problem)
    except Exception as problem:  # noqa: BLE001 - any failure of a model is a failed job; it is logged
        _log.exception("a local run failed in a way nobody foresaw", model=job.engine.label)
        return None, str(problem) or repr(problem)


def _whole(job: Job) -> HandsResult:
    return job.engine.task.run(job.image, rois=job.rois)


def _head(job: Job) -> Looked:
    if job.engine.parts is None:
        raise TaskError(f"{job.engine.label} was not cut: ask it for whole runs only")
    return job.engine.parts.hands.look(job.image, rois=job.rois)


def _tail(job: Job) -> HandsResult:
    if job.engine.parts is None or job.looked is None:
        raise TaskError(f"{job.engine.label} was not cut, or this frame has no head: ask for whole runs only")
    return job.engine.parts.hands.finish(job.looked, job.returned)


RUNS: dict[JobKind, Callable[[Job], HandsResult | Looked]] = {
    JobKind.WHOLE: _whole,
    JobKind.HEAD: _head,
    JobKind.TAIL: _tail,
}
