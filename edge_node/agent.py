"""Shell: the headset's standing on the control road: who it is, what it is told, what it reports.

Presence as birth and will, documents in, reports out. Handlers run on the road's thread and only read, count
and hand on; documents that break the contract or speak for another device are counted and go no further.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from pydantic import BaseModel

from broker.road import Delivery, Message, Road, Will
from schemas.documents import (
    Ack,
    Command,
    Desired,
    DevicePresence,
    Event,
    Load,
    Reply,
    Reported,
    Resync,
    WorkerPresence,
    canonical_bytes,
    parse_document,
)
from schemas.errors import MalformedMessage, TopicError
from schemas.topics import parse, row, topic, topic_filter
from schemas.verify import check_sender

_log = structlog.get_logger("edge_node.agent")
Document = TypeVar("Document", bound=BaseModel)
Later = Callable[
    [float, Callable[[], None]], object
]  # (delay in seconds, call): on the road's thread, from any


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this headset is. ``boot_id``: 16 bytes, new at every start."""

    site: str
    device: str
    boot_id: bytes
    device_class: str
    software: str
    simulated: bool
    tasks: tuple[str, ...] = ("hands",)
    runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Where documents go that came in; each is called on the road's thread and must be quick."""

    desired: Callable[[Desired], None]
    ack: Callable[[Ack], None]
    worker: Callable[[WorkerPresence], None]
    load: Callable[[Load], None]
    chunk: Callable[[str, int, bytes], None]  # digest, number, bytes
    refused: Callable[[str], None]
    explain: Callable[[], dict[str, object]]


class Agent:
    """One headset as its site sees it."""

    def __init__(self, identity: Identity, *, wall_ms: Callable[[], int], rng: random.Random) -> None:
        self._who = identity
        self._wall_ms = wall_ms
        self._rng = rng
        self._session = 0
        self._reported: Reported | None = None
        self._seq = 0
        self._road: Road | None = None
        self._ears: Ears | None = None
        self._later: Later | None = None
        self._leaving = False
        self._kernels: dict[str, str] = {}
        self._kernels_said: dict[str, str] = {}  # by the newest presence
        # The goodbye must be the last word: a resync's answer is not to slip in between.
        self._word = threading.Lock()
        self.counts: Counter[str] = Counter()

    def birth(self, session: int) -> tuple[Will, list[Message]]:
        """The will and first messages of a connection; the session calls this before each CONNECT."""
        self._session = session
        gone = self._presence(online=False)
        first = [self._presence(online=not self._leaving)]
        if self._reported is not None:
            first.append(self._message("device-reported", self._reported))
        return Will(topic=gone.topic, payload=gone.payload), first

    def open(self, road: Road, *, ears: Ears, later: Later) -> None:
        """Listen on the control road."""
        self._road, self._ears, self._later = road, ears, later
        own = {"site": self._who.site, "device": self._who.device}
        for name, handler in (
            ("device-desired", self._on(Desired, ears.desired)),
            ("device-ack", self._on(Ack, ears.ack)),
            ("device-command", self._on(Command, self._command)),
        ):
            road.subscribe(topic(name, **own), handler, qos=1)
        road.subscribe(topic_filter("device-chunk", **own), self._chunk, qos=1)
        site = {"site": self._who.site}
        road.subscribe(topic_filter("worker-presence", **site), self._on(WorkerPresence, ears.worker), qos=1)
        road.subscribe(topic_filter("worker-load", **site), self._on(Load, ears.load))
        road.subscribe(topic("resync", **site), self._on(Resync, self._resync), qos=1)
        self._correct_presence()  # the birth may have been said before the models were known

    def report(self, reported: Reported) -> None:
        """Publish what the headset runs; remembered for the next connect."""
        self._reported = reported
        self._send(self._message("device-reported", reported))

    def event(self, kind: str, detail: str, *, deployment: str | None = None) -> None:
        """Say that something happened."""
        self._seq += 1
        document = Event(
            device=self._who.device,
            boot_id=self._who.boot_id.hex(),
            seq=self._seq,
            kind=kind,
            detail=detail[:1024],
            deployment=deployment,
            sent_ms=self._wall_ms(),
        )
        self._send(self._message("device-event", document))

    def request_chunks(self, document: BaseModel) -> bool:
        """Ask the manager for chunks; False where the road did not take it."""
        return self._send(self._message("device-chunkreq", document))

    def tell_kernel(self, model: str, kernel: str) -> None:
        """Say which kernels compute the model that runs now; both as hex digests. From any thread."""
        kernels = {model: kernel} if kernel else {}
        self._kernels = kernels
        self._correct_presence()

    def _correct_presence(self) -> None:
        """Say it again where a birth was said and says otherwise by now; without one, the birth will say it.

        On the road's thread, where births are made: from elsewhere it could name the session before this one, and
        whoever hears that takes the will of this one for an old one.
        """
        if self._later is not None and self._says_otherwise():
            self._later(0, self._correct_presence_here)

    def _correct_presence_here(self) -> None:
        if self._says_otherwise():
            self._announce_presence()

    def _says_otherwise(self) -> bool:
        return self._session > 0 and self._kernels != self._kernels_said

    def leave(self) -> None:
        """Say goodbye, for good: a clean disconnect sends no will."""
        with self._word:
            self._leaving = True
            self._send(self._presence(online=False))

    def _presence(self, *, online: bool) -> Message:
        who, kernels = self._who, self._kernels
        self._kernels_said = kernels
        document = DevicePresence(
            device=who.device,
            online=online,
            session=self._session,
            boot_id=who.boot_id.hex(),
            device_class=who.device_class,
            software=who.software,
            runtimes=dict(who.runtimes),
            kernels=kernels,
            tasks=who.tasks,
            simulated=who.simulated,
            sent_ms=self._wall_ms(),
        )
        return self._message("device-presence", document)

    def _message(self, name: str, document: BaseModel) -> Message:
        stream = row(name)
        return Message(
            topic=topic(name, site=self._who.site, device=self._who.device),
            payload=canonical_bytes(document),
            qos=stream.qos,
            retain=stream.retain,
        )

    def _send(self, message: Message) -> bool:
        if self._road is None:
            return False
        taken = self._road.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)
        if not taken:
            self.counts["unsent"] += 1
            _log.warning("the control road did not take a message", topic=message.topic)
        return taken

    def _on(self, kind: type[Document], ear: Callable[[Document], None]) -> Callable[[Delivery], None]:
        """A handler that reads one kind of document and checks who speaks."""

        def handle(delivery: Delivery) -> None:
            if not delivery.payload:  # a retained document was cleared
                return
            try:
                _, ids = parse(delivery.topic)
                document = parse_document(kind, delivery.payload)
                check_sender(ids, document)
            except (MalformedMessage, TopicError) as error:
                self.counts["malformed"] += 1
                _log.warning("a document was not accepted", topic=delivery.topic, why=str(error))
                return
            ear(document)

        return handle

    def _chunk(self, delivery: Delivery) -> None:
        try:
            _, ids = parse(delivery.topic)
        except TopicError:
            self.counts["malformed"] += 1
            return
        if self._ears is not None:
            self._ears.chunk(ids["digest"], int(ids["n"]), bytes(delivery.payload))

    def _command(self, command: Command) -> None:
        COMMANDS[command.kind](self, command)

    def _refuse(self, command: Command) -> None:
        if self._ears is not None and command.boot_id == self._who.boot_id.hex():
            self._ears.refused(command.detail)

    def _resend(self, command: Command) -> None:
        if command.boot_id not in {None, self._who.boot_id.hex()}:
            return  # asked of another process with our id
        self._announce()
        self._reply(command, body={})

    def _explain(self, command: Command) -> None:
        self._reply(command, body=self._ears.explain() if self._ears else {})

    def _reply(self, command: Command, *, body: dict[str, object]) -> None:
        self._send(self._message("device-reply", Reply(command_id=command.command_id, ok=True, body=body)))

    def _resync(self, order: Resync) -> None:
        if self._later is not None:
            self._later(self._rng.uniform(0, order.jitter_ms / 1000), self._announce)

    def _announce(self) -> None:
        if self._announce_presence() and self._reported is not None:
            self._send(self._message("device-reported", self._reported))

    def _announce_presence(self) -> bool:
        """Say that this headset is online, unless it said goodbye."""
        with self._word:
            if not self._leaving:
                self._send(self._presence(online=True))
            return not self._leaving


COMMANDS: dict[str, Callable[[Agent, Command], None]] = {
    "refuse": Agent._refuse,  # noqa: SLF001 - the table belongs to the class
    "resend": Agent._resend,  # noqa: SLF001
    "explain": Agent._explain,  # noqa: SLF001
}
