"""Shell towards MQTT: what arrives goes into the inbox, what the office says goes onto the road.

Runs no decoding and no database work on the road's thread. Refuses (and counts by reason) what is
malformed, what is retained where nothing may be, and documents that name another sender than their topic.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel

from broker.road import Delivery, Road, RoadState
from fleet_manager.chunk_sender import ChunkSender
from fleet_manager.domain import Admission
from fleet_manager.hearing import Hearing
from fleet_manager.inbox import Inbox
from fleet_manager.presence import Presence
from fleet_manager.questions import Questions
from fleet_manager.service import FleetService
from fleet_manager.telemetry_board import TelemetryBoard
from observability import log
from observability.metrics import Registry
from schemas.codec import decode
from schemas.documents import (
    Ack,
    ChunkRequest,
    Command,
    Desired,
    DevicePresence,
    Document,
    Event,
    Reply,
    Reported,
    Resync,
    WorkerPresence,
    canonical_bytes,
    parse_document,
)
from schemas.errors import MalformedMessage, Reason, TopicError
from schemas.messages import Telemetry
from schemas.topics import Row, parse, row, topic, topic_filter

MAX_WORKERS = 4096
HEARD = (
    "device-presence",
    "device-reported",
    "device-event",
    "device-chunkreq",
    "device-reply",
    "telemetry",
    "worker-presence",
)
# What a session of the office may carry: nothing that it says is larger than what it hears.
MAX_PAYLOAD_BYTES = max(row(name).max_payload_bytes for name in HEARD)

_log = log.get("fleet_manager.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Who the gateway is and how gently it asks everybody to speak again."""

    site: str
    manager: str = "office"
    resync_jitter_ms: int = 2000  # 0 to 600 000


class Gateway:
    """The office on the road. Implements ``Wire``."""

    def __init__(
        self,
        service: FleetService,
        *,
        hearing: Hearing,
        presence: Presence,
        road: Road,
        config: GatewayConfig,
        metrics: Registry,
        data_road: Road | None = None,
    ) -> None:
        self.workers: dict[str, WorkerPresence] = {}
        self.telemetry = TelemetryBoard()
        self.inbox = Inbox(tick=self._tick, metrics=metrics)
        self.chunks = ChunkSender(
            service.artifacts,
            publish=self._publish_chunk,
            backlog_bytes=lambda: road.queued_bytes,
            metrics=metrics,
        )
        self.metrics = metrics
        self.questions = Questions(send=self.command, metrics=metrics)
        self._service = service
        self._hearing = hearing
        self._presence = presence
        self._road = road
        self._data_road = data_road or road
        self._config = config
        self._unsent: dict[str, Desired] = {}
        self._unsent_lock = threading.Lock()
        self._resync_due = False
        self._was_ready = False
        self._takers: dict[str, Callable[[str, bytes], None]] = {
            "device-presence": self._take_presence,
            "device-reported": self._take_reported,
            "device-event": self._take_event,
            "device-chunkreq": self._take_chunk_request,
            "device-reply": lambda device, payload: self.questions.answered(device, _read(Reply, payload)),
            "telemetry": self._take_telemetry,
            "worker-presence": self._take_worker,
        }

    @property
    def state(self) -> RoadState:
        """State of the control road."""
        return self._road.state

    def start(self) -> None:
        """Begin to listen and to speak."""
        self._service.wire = self
        self.inbox.start()
        self.chunks.start()
        for name in HEARD:
            stream = row(name)
            road = self._data_road if name == "telemetry" else self._road
            road.subscribe(
                topic_filter(name, site=self._config.site), partial(self._arrived, stream), qos=stream.qos
            )
        self._road.on_state(self._state_changed)

    def close(self) -> None:
        """Stop working and say goodbye; the roads stay open for their owner to close."""
        self.chunks.close()
        self.inbox.close()
        gone = self._presence.leave()
        if not self._road.publish(gone.topic, gone.payload, qos=gone.qos, retain=gone.retain):
            _log.warning("goodbye_not_accepted", meaning="the office stays online until its will is sent")

    # Wire: called under the service's lock, in order

    def desire(self, desired: Desired) -> None:
        """Publish a desired document; one that the road does not take is kept and sent later."""
        with self._unsent_lock:
            self._unsent.pop(desired.device, None)
            if not self._say("device-desired", desired, device=desired.device):
                self._unsent[desired.device] = desired

    def acknowledge(self, device: str, ack: Ack) -> None:
        """Publish an ack; a lost one is asked for again by the repeated report."""
        self._say("device-ack", ack, device=device)

    def command(self, device: str, command: Command) -> bool:
        """Publish a command; one that the road does not take is counted."""
        taken = self._say("device-command", command, device=device)
        if not taken:
            self.metrics.count("fleet_commands_refused_by_road", kind=command.kind)
            _log.warning("command_not_accepted", device=device, kind=command.kind)
        return taken

    # the road's thread

    def _arrived(self, stream: Row, delivery: Delivery) -> None:
        if len(delivery.payload) > stream.max_payload_bytes:  # before it takes room in the inbox
            self.metrics.count("fleet_malformed", reason=Reason.TOO_LARGE.value)
            return
        name, payload = delivery.topic, bytes(delivery.payload)
        retained = delivery.retain
        work = partial(self._take, name, payload, retained=retained)
        if not self.inbox.put(work, payload_bytes=len(payload)):
            self._resync_due = True

    def _state_changed(self, state: RoadState) -> None:
        ready = state in {RoadState.READY, RoadState.SUSPECT}
        if ready and not self._was_ready:
            self.inbox.put_latest("ready", self._connected)
        elif self._was_ready and not ready:
            self.inbox.put_latest("lost", self._disconnected)
        self._was_ready = ready

    # the inbox's thread

    def _connected(self) -> None:
        # Read and said under one lock: what a deployment says meanwhile must not be followed by what it replaced.
        with self._service.speaking() as said:
            said += [partial(self.desire, desired) for desired in self._service.desired_documents()]
        self._resync_due = True

    def _disconnected(self) -> None:
        with self._service.transaction() as rows:
            rows.devices.forget_connectivity()

    def _tick(self) -> None:
        self._hearing.tick()
        if self._resync_due and self._road.state is RoadState.READY:
            self._resync_due = not self._say(
                "resync", Resync(epoch=self._service.epoch, jitter_ms=self._config.resync_jitter_ms)
            )
        with self._unsent_lock:
            waiting = tuple(self._unsent.values())
            for desired in waiting:
                if not self._say("device-desired", desired, device=desired.device):
                    break
                del self._unsent[desired.device]

    def _take(self, name: str, payload: bytes, *, retained: bool) -> None:
        try:
            stream, ids = parse(name)
        except TopicError:
            self.metrics.count("fleet_malformed", reason=Reason.BAD_DOCUMENT.value)
            return
        if retained and not stream.retain:
            self.metrics.count("fleet_ignored", reason="retained_where_nothing_may_be")
            return
        if not payload:  # how a retained document is cleared
            self.metrics.count("fleet_ignored", reason="cleared")
            return
        try:
            self._takers[stream.name](ids.get("device") or ids["worker"], payload)
        except MalformedMessage as error:
            self.metrics.count("fleet_malformed", reason=error.reason.value)
            _log.warning("malformed", topic=name, reason=error.reason.value, detail=error.detail)

    def _take_presence(self, device: str, payload: bytes) -> None:
        presence = _read(DevicePresence, payload, sender=device)
        if self._hearing.presence(presence) and not presence.online:
            self.chunks.forget(device)
            self.telemetry.forget(device)

    def _take_reported(self, device: str, payload: bytes) -> None:
        self._hearing.reported(_read(Reported, payload, sender=device))

    def _take_event(self, device: str, payload: bytes) -> None:
        self._hearing.event(_read(Event, payload, sender=device))

    def _take_chunk_request(self, device: str, payload: bytes) -> None:
        wanted = _read(ChunkRequest, payload)
        with self._service.transaction() as rows:
            known = rows.devices.get(device)
        if known is None or known.admission is not Admission.ADMITTED:
            self.metrics.count("fleet_ignored", reason="chunks_for_unadmitted_device")
        elif not self._service.artifacts.has(wanted.digest):
            self.metrics.count("fleet_chunks_absent")
        else:
            self.chunks.request(device, wanted)

    def _take_telemetry(self, device: str, payload: bytes) -> None:
        message = decode(payload, stream="telemetry")
        assert isinstance(message, Telemetry)  # decode refuses what another stream carries
        self._hearing.seen(device, boot_id=message.header.boot_id.hex())
        self.telemetry.put(device, message, now_ms=self._service.clock_ms())

    def _take_worker(self, worker: str, payload: bytes) -> None:
        presence = _read(WorkerPresence, payload, sender=worker)
        known = self.workers.get(worker)
        current = known is None or (presence.boot_id, presence.session) == (known.boot_id, known.session)
        if not presence.online and not current:
            self.metrics.count("fleet_ignored", reason="stale_presence")
        elif known is not None or len(self.workers) < MAX_WORKERS:
            self.workers[worker] = presence

    # any thread

    def _say(self, name: str, document: BaseModel, **ids: str) -> bool:
        stream = row(name)
        return self._road.publish(
            topic(name, site=self._config.site, **ids),
            canonical_bytes(document),
            qos=stream.qos,
            retain=stream.retain,
        )

    def _publish_chunk(self, device: str, digest: str, n: int, data: bytes) -> bool:
        name = topic("device-chunk", site=self._config.site, device=device, digest=digest, n=n)
        return self._road.publish(name, data, qos=row("device-chunk").qos)


def _read(kind: type[Document], payload: bytes, *, sender: str | None = None) -> Document:
    """The document; with ``sender``, only when it names the same node as its topic."""
    document = parse_document(kind, payload)
    named = getattr(document, "device", None) or getattr(document, "worker", None)
    if sender is not None and named != sender:
        raise MalformedMessage(
            Reason.WRONG_SENDER, f"{kind.__name__} of {named!r} on the topic of {sender!r}"
        )
    return document
