"""Vocabulary: one frame on its way to its answer, and the line that records it.

The line is raw enough that somebody else can recompute the outcome: answer time, deadline, and which
frame's pixels the answer came from.
"""

from dataclasses import dataclass, field
from enum import Enum

from edge_node.decide import Path
from edge_node.frames import Captured
from edge_node.jobs import Engine, JobKind
from edge_node.outcome import Answer
from inference.split.hands import Looked, Returned
from inference.tasks.hands import Hand

NS_PER_MS = 1_000_000
SELDOM = (
    "critical",
    "shadow",
    "payload_bytes",
    "wasted_runs",
)  # stand in a line only where they say something


class Stage(str, Enum):
    """How far one way of computing a frame is."""

    IDLE = "idle"  # not tried
    WAITING = "waiting"  # jobs only: for the slot
    RUNNING = "running"
    OVERDUE = "overdue"  # remote only: the reply counts as missing, though it may still come
    ENDED = "ended"


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try to compute a frame; ``result`` says how it ended, empty while it runs."""

    path: Path
    start_ns: int
    end_ns: int | None = None
    result: str = ""


_IDLE = dict.fromkeys(JobKind, Stage.IDLE)


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """One scheduled frame until its line is written.

    ``jobs``: how far each job of the local slot is for it; ``engine`` and ``looked`` are those of its head, which
    its tail must go on with, and ``returned`` is what the worker made of it.
    """

    frame_id: int
    scheduled_ns: int
    deadline_ns: int
    captured: Captured | None
    skipped: bool
    trace_id: bytes
    mode: Path
    jobs: dict[JobKind, Stage] = field(default_factory=_IDLE.copy)
    remote: Stage = Stage.IDLE
    sent_ns: int = 0
    hedge_now: bool = False
    regions: int = 0  # that a run of it looks into first, as far as was known when it was scheduled
    due_ns: int = 0  # when something may have to be done about it again
    hedge_at_ns: int | None = None  # asked for by the policy, where that is before the latest safe start
    critical: bool = False
    shadow: bool = False  # a copy of it is out, only to learn from: its reply answers nothing
    payload_bytes: int = 0  # of what left of it; 0 where it stayed here
    wasted_runs: int = 0  # here or elsewhere, that ended well and did not answer it
    p_on_time: float | None = None  # as it was estimated before anything was known
    p_remote: float | None = None  # that of the worker's answer alone, where a picture was sent
    reason: str = ""
    worker: str | None = None
    engine: Engine | None = None
    looked: Looked | None = None
    returned: Returned = ()
    rtt_ns: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    answer: Answer | None = None
    hands: tuple[Hand, ...] = ()
    model: str = ""
    host_late: bool = False

    def begin(self, path: Path, *, now_ns: int) -> Attempt:
        """Note that a way is tried from now on."""
        attempt = Attempt(path=path, start_ns=now_ns)
        self.attempts.append(attempt)
        return attempt

    def end(self, path: Path, *, now_ns: int, result: str) -> None:
        """Note how the newest try on this way ended."""
        for attempt in reversed(self.attempts):
            if attempt.path is path:
                attempt.end_ns, attempt.result = now_ns, result
                return

    @property
    def is_carried(self) -> bool:
        """Whether it was answered from other pixels than its own."""
        return self.answer is not None and self.answer.result_frame_id != self.frame_id

    @property
    def can_be_hedged(self) -> bool:
        """Whether a whole run may be begun for it; a tail that is here already ends it sooner."""
        tail = self.jobs[JobKind.TAIL]
        has_tail = tail is Stage.WAITING or tail is Stage.RUNNING
        return self.captured is not None and self.jobs[JobKind.WHOLE] is Stage.IDLE and not has_tail

    @property
    def has_job(self) -> bool:
        """Whether the local slot works on it, or will."""
        stages = self.jobs.values()
        return Stage.RUNNING in stages or Stage.WAITING in stages

    @property
    def waits(self) -> bool:
        """Whether a job of it waits for the local slot."""
        return Stage.WAITING in self.jobs.values()

    @property
    def is_open(self) -> bool:
        """Whether some way still works on it."""
        return self.is_awaited or self.has_job

    @property
    def is_awaited(self) -> bool:
        """Whether a worker's word on it may still come."""
        return self.remote is Stage.RUNNING or self.remote is Stage.OVERDUE


def ms(duration_ns: int | None) -> float | None:
    """Milliseconds with three digits."""
    return None if duration_ns is None else round(duration_ns / NS_PER_MS, 3)


def frame_line(flight: Flight, *, headset: str) -> dict[str, object]:
    """The event line of an answered (or given up) frame."""
    answer = flight.answer
    if answer is None:
        raise ValueError(f"frame {flight.frame_id} has no answer yet: settle it before writing its line")
    return {
        "kind": "frame",
        "headset": headset,
        "frame_id": flight.frame_id,
        "scheduled_ns": flight.scheduled_ns,
        "answer_ns": answer.answer_ns,
        "result_frame_id": answer.result_frame_id,
        "captured": flight.captured is not None,
        "skipped": flight.skipped,
        "outcome": answer.outcome.value,
        "path": answer.path.value,
        "latency_ms": ms(answer.latency_ns),
        "age_ms": ms(answer.age_ns),
        "deadline_ms": ms(flight.deadline_ns - flight.scheduled_ns),
        "mode": flight.mode.value,
        "reason": flight.reason,
        "p_on_time": None if flight.p_on_time is None else round(flight.p_on_time, 4),
        **({} if flight.p_remote is None else {"p_remote": round(flight.p_remote, 4)}),
        "rtt_ms": ms(flight.rtt_ns),
        "worker": flight.worker,
        "model": flight.model,
        "host_late": flight.host_late,
        "hands": [[round(v, 5) for v in hand.landmarks.ravel().tolist()] for hand in flight.hands],
        "presence": [round(float(hand.presence), 4) for hand in flight.hands],
        "ring_index": -1 if flight.captured is None else flight.captured.ring_index,
        "trace_id": flight.trace_id.hex(),
        "attempts": [_attempt_line(attempt, flight) for attempt in flight.attempts],
        **{name: value for name in SELDOM if (value := getattr(flight, name))},
    }


def _attempt_line(attempt: Attempt, flight: Flight) -> dict[str, object]:
    end_ns = None if attempt.end_ns is None else attempt.end_ns - flight.scheduled_ns
    return {
        "path": attempt.path.value,
        "start_ms": ms(attempt.start_ns - flight.scheduled_ns),
        "end_ms": ms(end_ns),
        "result": attempt.result or "unfinished",
    }
