"""A scene for the office's tests: packages, scripted headsets, and the office itself on a loopback broker."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from broker.loopback import LoopbackBroker
from broker.road import Delivery, Message, Will
from fleet_manager.artifacts import ArtifactStore
from fleet_manager.gateway import Gateway, GatewayConfig
from fleet_manager.hearing import Hearing
from fleet_manager.presence import Presence
from fleet_manager.service import FleetService
from fleet_manager.store import Store
from observability.metrics import Registry
from schemas.documents import (
    Ack,
    ChunkRequest,
    Command,
    Desired,
    DevicePresence,
    ModelManifest,
    PackageRef,
    Reply,
    Reported,
    canonical_bytes,
)
from schemas.states import FailureReason, UpdateState
from schemas.topics import CHUNK_BYTES, topic, topic_filter

SITE = "demo"
MODEL_BYTES = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 600  # 3 chunks


def eventually(check: Callable[[], object], *, within_s: float = 10.0) -> object:
    """The first truthy value of ``check``; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := check()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
    return value


def make_package(name="hands", version="1", model=MODEL_BYTES, **changes) -> tuple[bytes, dict[str, bytes]]:
    """Manifest bytes and files by digest of a small, valid package."""
    digest = hashlib.sha256(model).hexdigest()
    chunks = [model[at : at + CHUNK_BYTES] for at in range(0, len(model), CHUNK_BYTES)]
    manifest = {
        "schema_version": 1,
        "name": name,
        "version": version,
        "task": "hands",
        "runtimes": ["litert"],
        "quantisation": "int8",
        "model_digest": digest,
        "files": [
            {
                "role": "model",
                "name": "model.tflite",
                "bytes": len(model),
                "sha256": digest,
                "chunk_bytes": CHUNK_BYTES,
                "chunk_sha256": [hashlib.sha256(chunk).hexdigest() for chunk in chunks],
            }
        ],
        **changes,
    }
    return json.dumps(manifest, sort_keys=True).encode(), {digest: model}


def presence(device="hs-1", *, boot="a" * 32, session=1, online=True) -> DevicePresence:
    return DevicePresence(
        device=device,
        online=online,
        session=session,
        boot_id=boot,
        device_class="xr-slow",
        software="0.1.0",
        runtimes={"litert": "2.3.0"},
        tasks=("hands",),
        sent_ms=1,
    )


@dataclass
class ScriptedDevice:
    """A headset that fetches what is desired and ends as its script says."""

    broker: LoopbackBroker
    id: str
    boot: str = "a" * 32
    ends: UpdateState = UpdateState.COMMITTED
    reason: FailureReason | None = None
    fetches: bool = True
    desired: list[Desired] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    explains: dict[str, object] | None = None  # what it answers to the question why; None: nothing
    chunks: dict[tuple[str, int], int] = field(default_factory=dict)
    fetched: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parts: dict[str, dict[int, bytes]] = {}
        self._files: list[tuple[str, int]] = []
        self._seq = 0
        self._session = 0
        opened = threading.Event()
        self.broker.reactor.call_soon(lambda: (self._open(), opened.set()))
        assert opened.wait(10)

    def _open(self) -> None:
        """In one turn of the reactor: an answer to the birth is not to come before the subscriptions."""
        self.road = self.broker.road(f"{self.id}-{self.boot[:8]}", birth=self._birth)
        self.road.subscribe(topic_filter("device-desired", site=SITE, device=self.id), self._desired, qos=1)
        self.road.subscribe(topic_filter("device-chunk", site=SITE, device=self.id), self._chunk, qos=1)
        self.road.subscribe(topic_filter("device-ack", site=SITE, device=self.id), self._ack, qos=1)
        self.road.subscribe(topic_filter("device-command", site=SITE, device=self.id), self._command, qos=1)

    def say(self, name: str, document, **ids) -> None:
        retain = name in {"device-presence", "device-reported"}
        self.road.publish(
            topic(name, site=SITE, device=self.id, **ids), canonical_bytes(document), qos=1, retain=retain
        )

    def born(self, *, online=True) -> DevicePresence:
        return presence(self.id, boot=self.boot, session=self._session, online=online)

    def report(self, state: UpdateState, **fields) -> Reported:
        self._seq += 1
        current = self.desired[-1] if self.desired else None
        said = {
            "device": self.id,
            "boot_id": self.boot,
            "epoch": current.epoch if current else 0,
            "version": current.version if current else 0,
            "deployment": current.deployment if current else None,
            "seq": self._seq,
            "state": state,
            "sent_ms": 1,
            **fields,
        }
        reported = Reported(**said)
        self.say("device-reported", reported)
        return reported

    def _birth(self, session: int) -> tuple[Will, list[Message]]:
        self._session = session
        own = topic("device-presence", site=SITE, device=self.id)
        return Will(topic=own, payload=canonical_bytes(self.born(online=False))), [
            Message(topic=own, payload=canonical_bytes(self.born()), qos=1, retain=True)
        ]

    def _desired(self, delivery: Delivery) -> None:
        desired = Desired.model_validate_json(bytes(delivery.payload))
        if self.desired and (desired.epoch, desired.version) <= (
            self.desired[-1].epoch,
            self.desired[-1].version,
        ):
            return
        self.desired.append(desired)
        if not self.fetches:
            return
        self.report(UpdateState.OFFERED)
        if desired.package is None:
            self._end()
            return
        self.report(UpdateState.STAGING)
        self._files = [(desired.package.digest, desired.package.manifest_bytes)]
        self._fetch()

    def _fetch(self) -> None:
        digest, size = self._files[0]
        parts = self._parts.setdefault(digest, {})
        count = -(-size // CHUNK_BYTES)
        if len(parts) < count:
            missing = bytearray(-(-count // 8))
            for n in range(count):
                if n not in parts:
                    missing[n // 8] |= 1 << n % 8
            wanted = ChunkRequest(
                digest=digest,
                chunks=count,
                missing=base64.b64encode(bytes(missing)).decode(),
                window=8,
                rate_bytes_per_s=50_000_000,
            )
            self.say("device-chunkreq", wanted)
            return
        data = b"".join(parts[n] for n in range(count))
        assert hashlib.sha256(data).hexdigest() == digest
        self.fetched[digest] = data
        self._files.pop(0)
        package = self.desired[-1].package
        if package and digest == package.digest:
            manifest = ModelManifest.model_validate_json(data)
            self._files = [(file.sha256, file.bytes) for file in manifest.files]
        if self._files:
            self._fetch()
        else:
            self._end()

    def _chunk(self, delivery: Delivery) -> None:
        *_, digest, n = delivery.topic.split("/")
        self.chunks[digest, int(n)] = self.chunks.get((digest, int(n)), 0) + 1
        parts = self._parts.setdefault(digest, {})
        parts[int(n)] = bytes(delivery.payload)
        wanted = next((size for name, size in self._files if name == digest), None)
        if wanted is not None and len(parts) == -(-wanted // CHUNK_BYTES):
            self._fetch()

    def _end(self) -> None:
        package = self.desired[-1].package
        active = PackageRef.model_validate(package) if package else None
        self.report(self.ends, reason=self.reason, detail="as scripted" if self.reason else "", active=active)

    def _ack(self, delivery: Delivery) -> None:
        self.acks.append(Ack.model_validate_json(bytes(delivery.payload)))

    def _command(self, delivery: Delivery) -> None:
        command = Command.model_validate_json(bytes(delivery.payload))
        self.commands.append(command)
        if command.kind == "explain" and self.explains is not None:
            self.say("device-reply", Reply(command_id=command.command_id, ok=True, body=self.explains))
        if command.boot_id != self.boot:
            return
        if command.kind == "resend":
            self.say("device-presence", self.born())
        if command.kind == "refuse":  # as a headset does, or the two would correct each other for ever
            self.road.close()


class Clock:
    """Unix milliseconds that can be pushed forward."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            return time.time_ns() // 1_000_000 + self._ahead_ms

    def skip(self, ms: int) -> None:
        with self._lock:
            self._ahead_ms += ms


class Office:
    """Store, service, hearing and gateway over a loopback broker."""

    def __init__(
        self, folder: Path, broker: LoopbackBroker, *, admit_at_once=True, url: str | None = None
    ) -> None:
        self.stack = ExitStack()
        self.clock = Clock()
        self.metrics = Registry()
        self.store = Store.open(url or f"sqlite:///{folder / 'fleet.db'}")
        self.stack.callback(self.store.close)
        self.service = FleetService(
            self.store, artifacts=ArtifactStore(folder / "artifacts"), clock_ms=self.clock
        )
        hearing = Hearing(self.service, admit_at_once=admit_at_once, metrics=self.metrics)
        config = GatewayConfig(site=SITE, resync_jitter_ms=0)
        presence = Presence(site=SITE, manager=config.manager, epoch=self.service.epoch, clock_ms=self.clock)
        self.road = broker.road("office", birth=presence.birth)
        self.stack.callback(self.road.close)
        self.gateway = Gateway(
            self.service,
            hearing=hearing,
            presence=presence,
            road=self.road,
            config=config,
            metrics=self.metrics,
        )
        self.gateway.start()
        self.stack.callback(self.gateway.close)

    def close(self) -> None:
        self.stack.close()

    def ignored(self, reason: str) -> int:
        return self.metrics.counter("fleet_ignored", reason=reason)

    def malformed(self, reason: str) -> int:
        return self.metrics.counter("fleet_malformed", reason=reason)

    def seen(self, device: str, word: str = "online"):
        """The device once its connectivity is ``word``."""
        return eventually(
            lambda: next(
                (d for d in self.service.devices() if d.id == device and d.connectivity.value == word), None
            )
        )

    def publish(self, **fields):
        manifest, files = make_package(**fields)
        model, _ = self.service.publish(manifest, {digest: [data] for digest, data in files.items()})
        return model

    def ended(self, deployment_id: str):
        """The deployment once it ended."""
        eventually(lambda: self.service.deployment(deployment_id).outcome.value != "running")
        return self.service.deployment(deployment_id)
