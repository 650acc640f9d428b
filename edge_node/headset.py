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
from edge_node.device_class import DEVICE_CLASSES
from edge_node.engines import EngineMaker
from edge_node.errors import DuplicateError
from edge_node.events import EventFile
from edge_node.flight import Flight, frame_line, ms
from edge_node.frames import Source
from edge_node.journey import Journey
from edge_node.loop import FrameLoop
from edge_node.offload import Offloader, RemoteReply
from edge_node.perceive import Engine, JobDone, Perception, Slot
from edge_node.remote import Remote
from edge_node.settings import NodeSettings
from edge_node.telemetry import FrameTally, Moment
from edge_node.vitals import HeatModel, Vitals, read_host
from edge_node.workers import WorkerBook
from observability.trace import new_trace
from schemas.codec import Encoder, mirror
from schemas.documents import canonical_bytes
from schemas.topics import row, topic

_log = structlog.get_logger("edge_node.headset")
LOCAL_PRIOR_NS = 40_000_000  # taken for a local run until one was measured
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a headset is built around."""

    source: Source
    maker: EngineMaker
    factory: Engine
    clock_ns: Callable[[], int]
    wall_ms: Callable[[], int]
    rng: random.Random
    random_bytes: Callable[[int], bytes]


class Headset:
    """One headset."""

    def __init__(self, settings: NodeSettings, *, identity: Identity, parts: Parts) -> None:
        self._settings = settings
        self._identity = identity
        self._parts = parts
        self._device = DEVICE_CLASSES[settings.device_class]
        self._heat = HeatModel(self._device.heat) if self._device.heat else None
        self._events = EventFile(settings.events)
        self._tally = FrameTally(boot_id=identity.boot_id, now_ns=parts.clock_ns())
        self._encoder = Encoder()
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
        accelerator = Accelerator(self._device, rng=parts.rng)
        self._journey = Journey(
            engine=parts.factory,
            perception=Perception(self._slot, accelerator=accelerator, prior_ns=LOCAL_PRIOR_NS),
            remote=Remote(self._offloader, workers=WorkerBook(task="hands", rng=parts.rng)),
            config=self._settings.split,
            on_line=self._land,
            on_switch=self._note_switch,
            new_trace=lambda: new_trace(parts.random_bytes).trace_id,
        )
        self._loop = FrameLoop(
            source=parts.source,
            journey=self._journey,
            fps=self._settings.fps,
            frames=self._settings.frames,
            clock_ns=parts.clock_ns,
            every_second=self._every_second,
        )
        self._last_second_ns, self._last_busy_ns = parts.clock_ns(), 0
        self._offloader.open()
        self.agent.open(control, ears=self._ears(), later=later)
        data.on_state(self._on_data_state)

    def run(self) -> dict[str, object]:
        """Answer frames until done or stopped; returns the summary.

        Raises:
            DuplicateError: the manager refused this process.
        """
        self._loop.run()
        self._every_second(self._parts.clock_ns())
        if self._refused:
            raise DuplicateError(
                f"{self._identity.device} is online already ({self._refused}): stop the other process or use another --id"
            )
        return self.summary()

    def stop(self) -> None:
        """Schedule no more frames. From any thread and from signal handlers."""
        self._loop.stop()

    def close(self) -> None:
        """Say goodbye and end threads; every line that was written is on disk afterwards."""
        self.agent.leave()
        self._slot.close()
        self._control.close()
        self._data.close()
        self._events.close()

    def summary(self) -> dict[str, object]:
        """The run in numbers."""
        return {
            "id": self._identity.device,
            **self._tally.summary(self._journey.answers.ledger.totals),
            "switches": self._journey.switches,
            "model": self._journey.engine.label,
            "device_class": self._device.name,
            "simulated": self._device.simulated,
            "source_outages": self._parts.source.outages,
            "refusals": dict(self._journey.remote.refusals),
            "dropped_replies": dict(self._offloader.counts),
            "events_dropped": self._events.dropped,
        }

    # -- news from other threads, put on the loop ----------------------------------------------------

    def _ears(self) -> Ears:
        workers = self._journey.remote.workers
        return Ears(
            desired=lambda _document: None,
            ack=lambda _document: None,
            worker=lambda presence: self._loop.post(lambda _now: workers.on_presence(presence)),
            load=lambda load: self._loop.post(lambda _now: workers.on_load(load)),
            chunk=lambda _digest, _n, _payload: None,
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
        self._refused = detail or "the manager heard it"
        self._loop.stop()

    def _explain(self) -> dict[str, object]:
        journey = self._journey
        return {"policy": journey.config.policy, "mode": journey.mode.value, "reason": journey.reason}

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
            rtt_ms=ms(self._journey.remote.rtts.last_ns(flight.worker)),
        )

    def _land(self, flight: Flight) -> None:
        self._tally.land(flight)
        self._events.emit(frame_line(flight, headset=self._identity.device))

    def _emit(self, kind: str, **fields: object) -> None:
        self._events.emit(
            {"kind": kind, "headset": self._identity.device, "t_ns": self._parts.clock_ns(), **fields}
        )

    def _every_second(self, now_ns: int) -> None:
        journey, remote = self._journey, self._journey.remote
        vitals = self._vitals(now_ns)
        remote.thermal = vitals.thermal
        worker = remote.worker(now_ns=now_ns)
        telemetry = self._tally.close_window(
            Moment(
                now_ns=now_ns,
                wall_ms=self._parts.wall_ms(),
                mode=journey.mode,
                switches=journey.switches,
                rtt_ns=remote.rtts.last_ns(worker),
                worker=worker or "",
                model=journey.engine.label,
                uplink_bytes=self._offloader.uplink_bytes,
                downlink_bytes=self._offloader.downlink_bytes,
                vitals=vitals,
                simulated=self._device.simulated,
            )
        )
        document = mirror(telemetry, self._identity.device)
        self._publish("telemetry", self._encoder.encode(telemetry))
        self._publish("telemetry-json", canonical_bytes(document))
        self._emit("telemetry", **document.model_dump(mode="json"))

    def _vitals(self, now_ns: int) -> Vitals:
        if self._heat is None:
            return read_host()
        elapsed_s = max(0.0, (now_ns - self._last_second_ns) / NS_PER_S)
        busy_ns = self._journey.perception.use.busy_ns
        busy = min(1.0, (busy_ns - self._last_busy_ns) / NS_PER_S / max(elapsed_s, 1e-3))
        self._last_second_ns, self._last_busy_ns = now_ns, busy_ns
        radio = 1.0 if self._journey.mode is Path.OFFLOAD else 0.0
        return self._heat.step(elapsed_s=elapsed_s, busy_fraction=busy, radio_fraction=radio)

    def _publish(self, name: str, payload: bytes) -> None:
        stream = row(name)
        where = topic(name, site=self._identity.site, device=self._identity.device)
        self._data.publish(where, payload, qos=stream.qos, budget_ns=stream.max_age_ms * 1_000_000)
