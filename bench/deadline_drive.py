"""Pure core but for the stop-watch: a seeded course of events played into the real journey, every call timed.

The course is drawn once from the seed: replies after 6 to 30 ms, two in a hundred lost, local runs of the class's own
durations, a minute with bad seconds in it. The stand-ins only remember what they were given. What lives before the first
frame is out of every collection of garbage, as in a headset.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_node.accelerator import Accelerator
from edge_node.decide import Path
from edge_node.device_class import DEVICE_CLASSES, Segment
from edge_node.flight import Flight
from edge_node.frames import Captured
from edge_node.jobs import Engine, Job, JobDone
from edge_node.journey import Journey
from edge_node.long_lived import set_aside
from edge_node.offload import FrameOut
from edge_node.perceive import Perception
from edge_node.remote import Remote
from edge_node.replies import PartOut, RemoteReply
from edge_node.workers import WorkerBook
from inference.tasks.hands import HandsResult
from schemas.documents import SplitConfig, WorkerPresence
from schemas.messages import Task, Timing

MS = 1_000_000
FRAME_NS = 1_000_000_000 // 30
LOCAL_PRIOR_MS = 20
REPLY_MS, LOST, BAD_SECOND = (6.0, 30.0), 0.02, 0.1  # in a bad second replies take 10 times as long
HOST_MS = 6.0
PICTURE_BYTES, PING_BYTES, RESULT_BYTES = 30_000, 64, 700
EMPTY = HandsResult(rejected=1)  # a region was looked into and held no hand: one landmark run
WORKER, DIGEST = "w-1", "f" * 64

DECIDING, LEARNING, RUNS, TIME = "deciding", "replies", "local runs", "time passing"  # what is told apart
PARTS = (DECIDING, LEARNING, RUNS, TIME)

Event = Callable[[int], None]


class Drive:
    """One journey and what happens to it."""

    def __init__(self, *, policy: str, deadline_ms: float, seed: int) -> None:
        self.calls = 0
        self._rng = random.Random(seed)
        self._events: list[tuple[int, int, str, Event]] = []
        self._made = 0
        self._spent_ns = dict.fromkeys(PARTS, 0)
        self._part = TIME  # of the call that is being timed
        self._now_ns = 0
        self._outcomes: Counter[str] = Counter()
        self._image = np.zeros((360, 640, 3), np.uint8)
        workers = WorkerBook(task="hands", rng=random.Random(seed))
        workers.on_presence(_presence())
        remote = Remote(self, workers=workers)
        remote.ready = True
        accelerator = Accelerator(DEVICE_CLASSES["xr-fast"], rng=random.Random(seed))
        self.journey = Journey(
            engine=Engine(task=_Nothing(), label="m:1", digest=DIGEST, landmark=Segment.LANDMARK_FLOAT),
            perception=Perception(self, accelerator=accelerator, prior_ns=LOCAL_PRIOR_MS * MS),
            remote=remote,
            config=SplitConfig.model_validate({"policy": policy, "deadline_ms": deadline_ms}),
            on_line=lambda flight: self._untimed(self._land, flight),
            on_switch=lambda flight, before, reason: None,  # noqa: ARG005 - names of the port
            new_trace=lambda: bytes(16),
        )

    def run(self, frames: int) -> list[dict[str, int]]:
        """Nanoseconds spent in the journey from each frame's schedule to the next one's, by ``PARTS``."""
        spent = []
        with set_aside():
            for frame_id in range(frames):
                due_ns = frame_id * FRAME_NS
                self._until(due_ns)
                self._spent_ns = dict.fromkeys(PARTS, 0)
                captured = Captured(image=self._image, ring_index=frame_id)
                self._timed(DECIDING, self._schedule, captured, due_ns)
                self._until(due_ns + FRAME_NS - 1)
                spent.append(self._spent_ns)
        return spent

    def outcomes(self) -> dict[str, int]:
        """How the frames ended."""
        return dict(self._outcomes)

    # -- ports -------------------------------------------------------------------------------------

    def start(self, job: Job) -> None:
        """Take a local run; the host needs its time for it."""
        self._untimed(self._run, job)

    def send_frame(self, out: FrameOut, *, worker: str) -> Any:
        """Take a frame; returns its size in bytes."""
        self._untimed(self._answer, Task.HANDS, out.frame_id, worker)
        return PICTURE_BYTES

    def send_part(self, out: PartOut, *, worker: str) -> Any:
        """Take no parts."""
        del out, worker
        return 0

    def send_ping(self, ping_id: int, *, worker: str, budget_ns: int) -> Any:
        """Take a probe; returns its size in bytes."""
        del budget_ns
        self._untimed(self._answer, Task.PING, ping_id, worker)
        return PING_BYTES

    # -- course ------------------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        began_ns = self._now_ns
        ended_ns = began_ns + round(HOST_MS * MS)
        done = JobDone(job=job, result=EMPTY, error="", started_ns=began_ns, ended_ns=ended_ns)
        self._later(ended_ns, RUNS, lambda now_ns: self.journey.on_job_done(done, now_ns=now_ns))

    def _schedule(self, captured: Captured, due_ns: int) -> None:
        self.journey.schedule(
            captured.ring_index,
            scheduled_ns=due_ns,
            captured=captured,
            skipped=False,
            now_ns=due_ns,
        )

    def _answer(self, task: Task, frame_id: int, worker: str) -> None:
        if self._rng.random() < LOST:
            return
        second = self._now_ns // 1_000_000_000
        factor = 10.0 if random.Random(second).random() < BAD_SECOND else 1.0
        rtt_ns = round(self._rng.uniform(*REPLY_MS) * factor * MS)
        heard_ns = self._now_ns + rtt_ns
        reply = RemoteReply(
            task=task,
            frame_id=frame_id,
            worker=worker,
            received_ns=heard_ns,
            rtt_ns=rtt_ns,
            capture_ns=self._now_ns,
            model_digest=DIGEST,
            result=None if task is Task.PING else EMPTY,
            sent_ns=self._now_ns,
            payload_bytes=PING_BYTES if task is Task.PING else PICTURE_BYTES,
            result_bytes=RESULT_BYTES,
            timing=Timing(received_ns=self._now_ns + rtt_ns // 2, run_us=round(rtt_ns / 4000)),
            replied_ns=self._now_ns + rtt_ns * 3 // 4,
        )
        self._later(heard_ns, LEARNING, lambda now_ns: self.journey.on_reply(reply, now_ns=now_ns))

    def _later(self, at_ns: int, part: str, event: Event) -> None:
        self._made += 1
        heapq.heappush(self._events, (at_ns, self._made, part, event))

    def _until(self, end_ns: int) -> None:
        """Play events and duties up to here."""
        while True:
            asked_ns = self._timed(TIME, self.journey.next_due_ns)
            event_ns = self._events[0][0] if self._events else None
            due_ns = min((at for at in (asked_ns, event_ns) if at is not None), default=None)
            if due_ns is None or due_ns > end_ns:
                self._now_ns = end_ns
                return
            self._now_ns = max(self._now_ns + 1, due_ns)
            if event_ns is not None and event_ns <= self._now_ns:
                _, _, part, event = heapq.heappop(self._events)
                self._timed(part, event, self._now_ns)
            self._timed(TIME, self.journey.tick, self._now_ns)  # as the loop does after all that it is told

    def _timed(self, part: str, call: Callable[..., Any], *arguments: object) -> Any:
        self.calls += 1
        self._part = part
        began_ns = time.perf_counter_ns()
        value = call(*arguments)
        self._spent_ns[part] += time.perf_counter_ns() - began_ns
        return value

    def _untimed(self, call: Callable[..., Any], *arguments: object) -> None:
        """What a stand-in does while the journey waits for it is no time of the journey's."""
        began_ns = time.perf_counter_ns()
        call(*arguments)
        self._spent_ns[self._part] -= time.perf_counter_ns() - began_ns

    def _land(self, flight: Flight) -> None:
        if flight.answer is not None:
            name = "local" if flight.answer.path is Path.LOCAL else flight.answer.path.value
            self._outcomes[f"{flight.answer.outcome.value} {name}"] += 1


class _Nothing:
    """An engine's task that is never run here."""

    def run(self, image_rgb: object, *, rois: object = ()) -> HandsResult:
        """Find nothing."""
        del image_rgb, rois
        return EMPTY


def _presence() -> WorkerPresence:
    return WorkerPresence(
        worker=WORKER, online=True, session=1, boot_id="0" * 32, software="1", tasks=("hands",), sent_ms=0
    )
