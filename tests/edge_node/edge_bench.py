"""Stand-ins that the room's tests share: workers that follow a script, a slot that runs at once."""

import random
from dataclasses import replace

import numpy as np

from edge_node.accelerator import Accelerator
from edge_node.device_class import DEVICE_CLASSES, Segment
from edge_node.frames import Captured
from edge_node.jobs import Engine, EngineParts, JobDone, JobKind
from edge_node.journey import Journey
from edge_node.perceive import Perception
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.workers import WorkerBook
from inference.errors import TaskError
from inference.split.hands import Looked
from inference.split.part_payload import NOTHING, PartPayload
from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi
from schemas.documents import SplitConfig, WorkerPresence
from schemas.messages import PartCoding, Task, Timing
from schemas.placements import Placement

MS = 1_000_000
FRAME_BYTES, PART_BYTES, PING_BYTES, RESULT_BYTES = 15_000, 40_000, 150, 700  # as on a real wire
RUN_MS = 5  # of the worker
IMAGE = np.zeros((36, 64, 3), dtype=np.uint8)
ROI = Roi(cx=30.0, cy=20.0, width=20.0, height=20.0)


def hands_at(x):
    landmarks = np.full((21, 3), x, dtype=np.float32)
    hand = Hand(landmarks=landmarks, presence=0.9, handedness=0.1, roi=ROI)
    return HandsResult(hands=(hand,), next_rois=(ROI,), palm_ran=False)


class NoTask:
    """A perceiver that is never really asked: the tests say when a job ends and how."""

    def run(self, image_rgb, *, rois=()):
        raise AssertionError("the test's slot does not run jobs")


ENGINE = Engine(task=NoTask(), label="factory", digest="0" * 64, landmark=Segment.LANDMARK_FLOAT)


MODEL, KERNEL, PLACEMENT = "a" * 64, "e" * 64, Placement(start=20, end=59)
LIVE = PartPayload(subjects=1, coding=PartCoding.RAW, payload=bytes(16))
BACK = ({"conv": np.zeros(4, np.float32)},)  # what it reads as


class NoParts:
    """Head and tail that are never really asked, but for the end of a frame without hands."""

    def look(self, image_rgb, *, rois=()):
        raise AssertionError("the test's slot does not run jobs")

    def read_back(self, looked, part):
        if part is not LIVE:
            raise TaskError("other tensors")
        return BACK

    def finish(self, looked, returned):
        assert (looked.live, returned) == (NOTHING, ())
        return HandsResult(palm_ran=True)


CUT_ENGINE = replace(
    ENGINE,
    digest=MODEL,
    kernel=KERNEL,
    parts=EngineParts(placement=PLACEMENT, hands=NoParts(), head_share=0.5, tail_share=0.1, up_bytes=50_000),
)


def looked_at(live=LIVE):
    rois = (ROI,) * live.subjects
    return Looked(rois=rois, live=live, kept=({},) * len(rois), width=64, height=36, palm_ran=True)


class Starter:
    """Takes jobs and keeps them until the test ends them."""

    def __init__(self):
        self.jobs = []

    def start(self, job):
        self.jobs.append(job)


class Uplink:
    """Takes frames and pings; the test answers them. Says how many bytes it took, 0 while it is closed."""

    def __init__(self):
        self.frames, self.pings, self.parts = [], [], []
        self.is_open = True

    def send_frame(self, out, *, worker):
        self.frames.append(out)
        return FRAME_BYTES if self.is_open else 0

    def send_part(self, out, *, worker):
        self.parts.append(out)
        return PART_BYTES if self.is_open else 0

    def send_ping(self, ping_id, *, worker, budget_ns):
        self.pings.append(ping_id)
        return PING_BYTES if self.is_open else 0


def worker_presence(worker="w-1", *, online=True, session=1, boot_id="0" * 32, **fields):
    return WorkerPresence(
        worker=worker,
        online=online,
        session=session,
        boot_id=boot_id,
        software="1",
        tasks=("hands",),
        sent_ms=0,
        **fields,
    )


class Bench:
    """A journey with scripted ports and a clock that the test moves."""

    def __init__(self, *, policy="local", device_class="host", local_ms=10, engine=ENGINE, **split):
        self.now_ns = 0
        self.starter, self.uplink = Starter(), Uplink()
        self.lines, self.switches = [], []
        self.next_id = 0
        self.local_ms = local_ms
        rng = random.Random(1)
        self.remote = Remote(self.uplink, workers=WorkerBook(task="hands", rng=rng))
        self.remote.workers.on_presence(worker_presence())
        self.remote.ready = True
        self.perception = Perception(
            self.starter,
            accelerator=Accelerator(DEVICE_CLASSES[device_class], rng=rng),
            prior_ns=local_ms * MS,
        )
        self.journey = Journey(
            engine=engine,
            perception=self.perception,
            remote=self.remote,
            config=SplitConfig.model_validate({"policy": policy, "deadline_ms": 100, **split}),
            on_line=self.lines.append,
            on_switch=lambda flight, before, reason: self.switches.append((before, flight.mode, reason)),
            new_trace=lambda: bytes(16),
        )

    @property
    def answers(self):
        return {line.frame_id: line.answer for line in self.lines}

    def outcomes(self):
        return [line.answer.outcome.value for line in sorted(self.lines, key=lambda line: line.frame_id)]

    def frame(self, *, captured=True, skipped=False):
        shot = Captured(image=IMAGE, ring_index=self.next_id) if captured else None
        self.journey.schedule(
            self.next_id, scheduled_ns=self.now_ns, captured=shot, skipped=skipped, now_ns=self.now_ns
        )
        self.next_id += 1
        return self.next_id - 1

    def wait(self, duration_ms):
        """Let time pass, waking the journey exactly when it asks to be woken."""
        end_ns = self.now_ns + round(duration_ms * MS)
        while (due_ns := self.journey.next_due_ns()) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            before = self.journey.next_due_ns()
            self.journey.tick(self.now_ns)
            if self.journey.next_due_ns() == before == self.now_ns:
                raise AssertionError("the journey asks to be woken for nothing")
        self.now_ns = end_ns
        self.journey.tick(self.now_ns)

    def local_done(self, *, result=None, error="", started_ns=None, looked=None):
        """The running job really ends now."""
        job = self.starter.jobs[-1]
        if job.kind is JobKind.HEAD and not error:
            looked = looked or looked_at()
        started_ns = self.now_ns - self.local_ms * MS if started_ns is None else started_ns
        done = JobDone(
            job=job,
            result=None if error or looked else result or hands_at(0.5),
            looked=looked,
            error=error,
            started_ns=started_ns,
            ended_ns=self.now_ns,
        )
        self.journey.on_job_done(done, now_ns=self.now_ns)

    def reply(self, frame_id, *, rtt_ms=5, queue_ms=0, refusal="", retry_after_ms=0, task=Task.HANDS, x=0.7):
        self.journey.on_reply(
            RemoteReply(
                task=task,
                frame_id=frame_id,
                worker="w-1",
                received_ns=self.now_ns,
                rtt_ns=round(rtt_ms * MS),
                capture_ns=0,
                model_digest="f" * 64,
                result=None if refusal else hands_at(x),
                refusal=refusal,
                retry_after_ms=retry_after_ms,
                **self.times(rtt_ms=rtt_ms, queue_ms=queue_ms, run_ms=0 if task is Task.PING else RUN_MS),
            ),
            now_ns=self.now_ns,
        )

    def times(self, *, rtt_ms, run_ms, queue_ms=0):
        """What a reply that is here now says of its times; the worker's clock is that of the headset."""
        sent_ns = self.now_ns - round((rtt_ms + queue_ms + run_ms) * MS)
        received_ns = sent_ns + round(rtt_ms * MS / 2)
        return {
            "sent_ns": sent_ns,
            "payload_bytes": FRAME_BYTES if run_ms else PING_BYTES,
            "result_bytes": RESULT_BYTES,
            "timing": Timing(received_ns=received_ns, queue_us=queue_ms * 1000, run_us=run_ms * 1000),
            "replied_ns": received_ns + (queue_ms + run_ms) * MS,
        }

    def part_reply(self, frame_id, *, refusal="", ask=False, part=LIVE, **fields):
        """A worker's word on live tensors, or on the request to prove their placement."""
        self.journey.on_reply(
            RemoteReply(
                task=Task.HANDS,
                frame_id=frame_id,
                worker="w-1",
                received_ns=self.now_ns,
                rtt_ns=5 * MS,
                capture_ns=0,
                model_digest=MODEL,
                result=None,
                refusal=refusal,
                wanted=self.uplink.parts[-1].wanted,
                part=None if refusal else part,
                ask=ask,
                **{**self.times(rtt_ms=5, run_ms=RUN_MS), **fields},
            ),
            now_ns=self.now_ns,
        )

    def climb(self):
        """Answer probes well until the policy offloads."""
        for _ in range(10):
            self.wait(100)
            if self.uplink.pings:
                self.reply(self.uplink.pings.pop(), task=Task.PING)
