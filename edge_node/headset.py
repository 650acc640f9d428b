"""One headset, wired: source, journey, roads, agent and telemetry around the frame loop.

Owns no clock, no socket and no randomness of its own: all are passed in, so that a whole headset runs over a
loopback road in a test. ``open``, ``run``, ``close`` in this order, once.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from broker.road import Road, RoadState
from edge_node.accelerator import Accelerator
from edge_node.agent import Agent, Ears, Identity, Later
from edge_node.decide import Path
from edge_node.decisions import newest_legs
from edge_node.device_class import DEVICE_CLASSES
from edge_node.engines import EngineMaker
from edge_node.errors import DuplicateError
from edge_node.events import EventFile
from edge_node.flight import Flight, frame_line, ms
from edge_node.frames import Source
from edge_node.health import Health, health_of
from edge_node.heartbeat import Heartbeat
from edge_node.installation import Installation
from edge_node.jobs import Engine, JobDone
from edge_node.journal import Journal
from edge_node.journey import Journey
from edge_node.loop import FrameLoop
from edge_node.model_store import ModelStore
from edge_node.offload import Offloader
from edge_node.perceive import Perception
from edge_node.priming import prime
from edge_node.remote import Remote
from edge_node.replies import RemoteReply
from edge_node.reports import Reports
from edge_node.settings import NodeSettings
from edge_node.slot import Slot
from edge_node.telemetry import FrameTally
from edge_node.times_file import TimesFile
from edge_node.update import Attempt
from edge_node.update_ports import UpdaterPorts
from edge_node.updater import Updater
from edge_node.workers import WorkerBook
from observability.trace import new_trace
from schemas.documents import SplitConfig

_log = structlog.get_logger("edge_node.headset")
LOCAL_PRIOR_NS = 40_000_000  # taken for a local run until one was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a headset is built around."""

    source: Source
    maker: EngineMaker
    factory: Engine
    clock_ns: Callable[[], int]
    wall_ms: Callable[[], int]
    rng: random.Random
    runtime: str
    random_bytes: Callable[[int], bytes]


class Headset:
    """One headset."""

    def __init__(self, settings: NodeSettings, *, identity: Identity, parts: Parts) -> None:
        self._settings = settings
        self._identity = identity
        self._parts = parts
        self._device = DEVICE_CLASSES[settings.device_class]
        self._events = EventFile(settings.event_file)
        self._tally = FrameTally(boot_id=identity.boot_id, now_ns=parts.clock_ns())
        self._refused = ""
        self.agent = Agent(identity, wall_ms=parts.wall_ms, rng=parts.rng)

    def open(self, *, control: Road, data: Road, later: Later) -> None:
        """Wire the parts to their roads and listen."""
        parts, who = self._parts, self._identity
        self._control, self._data = control, data
        self._slot = Slot(self._on_job, clock_ns=parts.clock_ns)
        self._offloader = Offloader(
            data,
            site=who.site,
            device=who.device,
            boot_id=who.boot_id,
            deliver=self._on_reply,
            clock_ns=parts.clock_ns,
            new_span=lambda: parts.random_bytes(8),
        )
        store = ModelStore(self._settings.state / "releases")
        self._journey = self._make_journey(store)
        self._times = TimesFile(self._settings.state / "run-times.json", self._journey.perception)
        self._loop = FrameLoop(
            source=parts.source,
            journey=self._journey,
            fps=self._settings.fps,
            frames=self._settings.frames,
            clock_ns=parts.clock_ns,
            every_second=self._every_second,
        )
        self._updater = self._make_updater(store)
        want_trial = self._journey.local.want_trial
        self._installation.attach(self._place, want_trial=lambda: self._loop.post(lambda _now: want_trial()))
        self._heartbeat = Heartbeat(
            identity=who,
            device=self._device,
            road=data,
            tally=self._tally,
            journey=self._journey,
            offloader=self._offloader,
            wall_ms=parts.wall_ms,
            now_ns=parts.clock_ns(),
        )
        self._offloader.open()
        self.agent.open(control, ears=self._ears(), later=later)
        data.on_state(self._on_data_state)
        self._updater.start()

    def _make_journey(self, store: ModelStore) -> Journey:
        parts = self._parts
        self._installation = Installation(
            maker=parts.maker,
            factory=parts.factory,
            store=store,
            split=self._settings.split,
            health=self._health,
        )
        engine, config = self._installation.initial()
        self.agent.tell_kernel(engine.digest, engine.kernel)
        accelerator = Accelerator(self._device, rng=parts.rng)
        return Journey(
            engine=engine,
            perception=Perception(self._slot, accelerator=accelerator, prior_ns=LOCAL_PRIOR_NS),
            remote=Remote(self._offloader, workers=WorkerBook(task="hands", rng=parts.rng)),
            config=config,
            on_line=self._land,
            on_switch=self._note_switch,
            new_trace=lambda: new_trace(parts.random_bytes).trace_id,
        )

    def _make_updater(self, store: ModelStore) -> Updater:
        parts, who = self._parts, self._identity
        return Updater(
            store=store,
            journal=Journal(self._settings.state / "update.json", Attempt),
            here=self._installation,
            reports=Reports(
                device=who.device, boot_id=who.boot_id, send=self.agent.report, wall_ms=parts.wall_ms
            ),
            ports=UpdaterPorts(
                ask=self.agent.request_chunks,
                note=self._note_attempt,
                clock_ns=parts.clock_ns,
                wall_ms=parts.wall_ms,
            ),
            runtime=parts.runtime,
        )

    def run(self) -> dict[str, object]:
        """Answer frames until done or stopped; returns the summary.

        Raises:
            DuplicateError: the manager refused this process.
        """
        prime(self._journey, self._parts.source, clock_ns=self._parts.clock_ns)
        self._loop.run()
        self._every_second(self._parts.clock_ns())
        if self._refused:
            raise DuplicateError(f"{self._refused}: stop the other process or use another --id")
        return self.summary()

    def stop(self) -> None:
        """Schedule no more frames. From any thread and from signal handlers."""
        self._loop.stop()

    def close(self) -> None:
        """Say goodbye and end threads; every line that was written is on disk afterwards."""
        self._updater.stop()
        if not self._refused:  # the id belongs to another process: it speaks for itself
            self.agent.leave()
        self._slot.close()
        self._times.close()
        self._control.close()
        self._data.close()
        self._events.close()

    def summary(self) -> dict[str, object]:
        """The run in numbers."""
        return {
            "id": self._identity.device,
            **self._tally.summary(self._journey.answers.ledger.totals),
            "switches": self._journey.switches,
            "model": self._installation.model(),
            "device_class": self._device.name,
            "simulated": self._device.simulated,
            "source_outages": self._parts.source.outages,
            "refusals": dict(self._journey.remote.refusals),
            "dropped_replies": dict(self._offloader.counts),
            "events_dropped": self._events.dropped,
        }

    # -- news from other threads, put on the loop ----------------------------------------------------

    def _ears(self) -> Ears:
        remote = self._journey.remote
        return Ears(
            desired=self._updater.inbox.desired,
            ack=self._updater.inbox.ack,
            worker=lambda presence: self._loop.post(lambda _now: remote.workers.on_presence(presence)),
            load=lambda load: self._loop.post(lambda now_ns: remote.on_load(load, now_ns=now_ns)),
            chunk=self._updater.inbox.chunk,
            refused=self._on_refused,
            explain=self._explain,
        )

    def _on_job(self, done: JobDone) -> None:
        self._loop.post(lambda now_ns: self._journey.on_job_done(done, now_ns=now_ns))

    def _on_reply(self, reply: RemoteReply) -> None:
        self._loop.post(lambda now_ns: self._journey.on_reply(reply, now_ns=now_ns))

    def _on_data_state(self, state: RoadState) -> None:
        self._loop.post(lambda now_ns: self._note_link(state, now_ns=now_ns))

    def _on_refused(self, detail: str) -> None:
        self._refused = detail or f"another headset is online as {self._identity.device}"
        self._loop.stop()

    def _explain(self) -> dict[str, object]:
        journey = self._journey
        return {
            "policy": journey.config.policy,
            "mode": journey.mode.value,
            "reason": journey.reason,
            "decisions": journey.decisions.rows(),
        }

    def _place(self, engine: Engine, config: SplitConfig, done: Callable[[], None]) -> None:
        def swap(now_ns: int) -> None:
            self._journey.local.use(engine, now_ns=now_ns)
            self.agent.tell_kernel(engine.digest, engine.kernel)
            if config != self._journey.config:
                self._journey.use(config)
            done()

        self._loop.post(swap)

    def _health(self) -> Health:
        """How frames and local runs fare, as the updater's thread may see it."""
        return health_of(self._journey.answers.ledger.totals, self._journey.perception.runs)

    def _note_attempt(self, attempt: Attempt) -> None:
        """An update moved on; the updater's thread."""
        reason = attempt.reason.value if attempt.reason else None
        deployment = attempt.desired.deployment if attempt.desired else None
        self._emit(
            "update", state=attempt.state.value, reason=reason, detail=attempt.detail, deployment=deployment
        )
        if attempt.is_over and attempt.desired is not None:
            kind = f"update-{attempt.state.value}".replace("_", "-")
            self.agent.event(kind, attempt.detail, deployment=deployment)

    # -- on the loop's thread ------------------------------------------------------------------------

    def _note_link(self, state: RoadState, *, now_ns: int) -> None:
        remote = self._journey.remote
        was_ready, remote.ready = remote.ready, state is RoadState.READY
        self._emit("link", state=state.value)
        if was_ready and not remote.ready:
            self._journey.on_link_trouble(f"the link is {state.value}", now_ns=now_ns)

    def _note_switch(self, flight: Flight, before: Path, reason: str) -> None:
        self._emit(
            "switch",
            frame_id=flight.frame_id,
            before=before.value,
            after=flight.mode.value,
            reason=reason,
            rtt_ms=ms(self._journey.remote.rtt_ns(flight.worker)),
        )

    def _land(self, flight: Flight) -> None:
        self._tally.land(flight)
        self._events.emit(frame_line(flight, headset=self._identity.device))

    def _emit(self, kind: str, **fields: object) -> None:
        self._events.emit(
            {"kind": kind, "headset": self._identity.device, "t_ns": self._parts.clock_ns(), **fields}
        )

    def _every_second(self, now_ns: int) -> None:
        told = self._heartbeat.beat(now_ns)
        self._times.second()
        legs = newest_legs(self._journey.remote.legs(told.worker))
        self._emit("telemetry", **told.model_dump(mode="json"), **legs)
