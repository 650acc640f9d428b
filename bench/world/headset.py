"""Pure core: one headset in the world: the real journey with its ports on a virtual clock."""

import random
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache

from bench.world.agenda import Agenda, Draws, JobDraws
from bench.world.hands import PICTURE, NoPixels, shows
from bench.world.host import HOSTS, Host, at_ns
from bench.world.said import Said
from bench.world.way import Way
from edge_node.accelerator import Accelerator, interpolate
from edge_node.decide import Path
from edge_node.device_class import DEVICE_CLASSES, Segment, Thermal
from edge_node.flight import Flight
from edge_node.frames import Captured
from edge_node.jobs import Engine, Job, JobDone, JobKind
from edge_node.journey import Journey
from edge_node.perceive import Perception
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.run_times import RunTimes
from edge_node.workers import WorkerBook
from schemas.documents import SplitConfig, WorkerPresence

NS_PER_S = 1_000_000_000
LOCAL_PRIOR_NS = 40_000_000  # as the node has it before its first run
CAPTURE_NS = 300_000
MODEL = "local-int8"
WORKERS_SEED = 1  # which of two workers is asked must not move what runs take


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came of a headset's frames."""

    flights: list[Flight] = field(default_factory=list)
    switches: list[tuple[int, Path, Path]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)  # begun on the headset, by frame
    p_remote: dict[int, float] = field(default_factory=dict)  # by frame, as it was said before it left
    busy_ns: int = 0  # of its accelerator
    hedge_in_ns: list[int] = field(
        default_factory=list
    )  # the latest safe start of each frame, after its capture


class Headset:
    """One headset. ``way`` carries what it sends; ``phase`` is when in the frame's interval it captures, 0 to 1."""

    def __init__(
        self,
        agenda: Agenda,
        *,
        way: Way,
        device: str,
        config: SplitConfig,
        draws: Draws,
        fps: float,
        host: Host = HOSTS["prompt"],
        phase: float = 0.0,
    ) -> None:
        self._agenda, self._draws, self._fps, self._phase = agenda, draws, fps, phase
        self.seen = Seen()
        self._rng, self._device, self.host = JobDraws(draws), device, host
        self._way = way
        self._wake_ns: int | None = None
        self._traces = 0
        engine = Engine(task=NoPixels(), label=MODEL, digest="0" * 64, landmark=Segment.LANDMARK_INT8)
        self.journey = Journey(
            engine=engine,
            perception=Perception(
                self, accelerator=Accelerator(DEVICE_CLASSES[device], rng=self._rng), prior_ns=LOCAL_PRIOR_NS
            ),
            remote=Remote(way, workers=WorkerBook(task="hands", rng=random.Random(WORKERS_SEED))),
            config=config,
            on_line=self.seen.flights.append,
            on_switch=self._note_switch,
            new_trace=self._new_trace,
        )
        self.said = self.journey.decisions = Said()
        way.attach(self)

    def practise(self, *, runs: int) -> None:
        """Be one that has computed so many frames before: what its runs take is known, as it is after some minutes."""
        if runs:
            self.journey.perception.times = deepcopy(_practised(self._device, runs))

    def start(self, job: Job) -> None:
        """The slot's port: the job takes the host its time, and the device class holds the result."""
        self._rng.about(
            job.frame_id, done=1 if job.rois else 0
        )  # with regions the palm detector does not run
        started_ns = self._agenda.now_ns
        done = JobDone(
            job=job,
            result=shows(job.frame_id, rois=job.rois),
            error="",
            started_ns=started_ns,
            ended_ns=started_ns + at_ns(self.host.run, share=self._draws.share("host run", job.frame_id)),
        )
        self.seen.counts["local_runs"] += 1
        self.seen.runs[job.frame_id] += 1
        self._agenda.at(
            done.ended_ns, lambda: self.do(lambda now: self.journey.on_job_done(done, now_ns=now))
        )

    def run_frames(self, *, frames: int) -> None:
        """Look once, as the node does before its frames count; enter the first frame, each enters the next."""
        self.journey.answers.prime(shows(0, rois=()), captured_ns=self._agenda.now_ns, model=MODEL)
        self._schedule(0, frames)

    def _schedule(self, frame_id: int, frames: int) -> None:
        if frame_id >= frames:
            return
        scheduled_ns = round((frame_id + 1 + self._phase) * NS_PER_S / self._fps)

        def due() -> None:
            captured = Captured(image=PICTURE, ring_index=frame_id)
            self.do(
                lambda now: self.journey.schedule(
                    frame_id, scheduled_ns=scheduled_ns, captured=captured, skipped=False, now_ns=now
                )
            )
            self._schedule(frame_id + 1, frames)

        self._agenda.at(scheduled_ns + CAPTURE_NS + self._lateness_ns(frame_id), due)

    def note_end(self) -> None:
        """Keep what the journey knows of this headset when its frames are over."""
        self.seen.p_remote, self.seen.hedge_in_ns = self.said.p_remote, self.said.hedge_in_ns
        self.seen.busy_ns = self.journey.perception.use.busy_ns

    def on_reply(self, reply: RemoteReply) -> None:
        """A reply came out of the link."""
        self.do(lambda now: self.journey.on_reply(reply, now_ns=now))

    def on_ready(self, ready: bool, why: str) -> None:
        """The session can be relied on, or not any more."""
        was_ready, self.journey.remote.ready = self.journey.remote.ready, ready
        if was_ready and not ready:
            self.do(lambda now: self.journey.on_link_trouble(why, now_ns=now))

    def on_presence(self, presence: WorkerPresence) -> None:
        """A worker came or went."""
        self.journey.remote.workers.on_presence(presence)

    def do(self, news: Callable[[int], None]) -> None:
        """Tell the journey something, and be woken when it wants to be."""
        news(self._agenda.now_ns)
        due_ns = self.journey.next_due_ns()
        if due_ns is None or (self._wake_ns is not None and self._agenda.now_ns < self._wake_ns <= due_ns):
            return
        due_ns = max(due_ns, self._agenda.now_ns + 1000)
        self._wake_ns = due_ns
        late_ns = self._lateness_ns(due_ns)
        self._agenda.at(due_ns + late_ns, lambda: self._wake(due_ns, late_ns))

    def _wake(self, due_ns: int, late_ns: int) -> None:
        if self._wake_ns != due_ns:  # an earlier waking took its place
            return
        self._wake_ns = None
        self.journey.lateness.add(late_ns)
        self.do(self.journey.tick)

    def _lateness_ns(self, number: int) -> int:
        return at_ns(self.host.lateness, share=self._draws.share("wake", number))

    def _note_switch(self, flight: Flight, before: Path, reason: str) -> None:
        del reason
        self.seen.switches.append((self._agenda.now_ns, before, flight.mode))

    def _new_trace(self) -> bytes:
        self._traces += 1
        return self._traces.to_bytes(16, "big")


@cache
def _practised(device: str, runs: int) -> RunTimes:
    """What runs of a device class take, learned from so many; half of them looked for a hand first."""
    rng, table, times = (
        random.Random(runs),
        DEVICE_CLASSES[device].durations_ms,
        RunTimes(prior_ns=LOCAL_PRIOR_NS),
    )
    for number in range(runs):
        regions = number % 2
        parts = (Segment.LANDMARK_INT8,) if regions else (Segment.PALM, Segment.LANDMARK_INT8)
        took_ms = sum(interpolate(table[part, Thermal.NOMINAL], fraction=rng.random()) for part in parts)
        times.add(
            JobKind.WHOLE,
            round(took_ms * 1e6),
            regions=regions,
            thermal=Thermal.NOMINAL,
            encoding=True,
        )
    return times
