"""Documents of the control plane: JSON that people and other systems read and write.

Documents written by operators forbid unknown keys, so that a typing mistake is an error that names the
field; documents written by our own nodes ignore unknown keys, so that old readers accept new writers.
Pure: parsing, checking and canonical bytes; nothing here reads a file or a clock.
"""

import json
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from schemas.deployments import DeploymentSpec, PartPlacement, PolicyName, SplitConfig, Target
from schemas.errors import MalformedMessage, Reason
from schemas.fields import BootId, Count, Digest, Id, Name, Reading, Text, UnixMs, Version, Written
from schemas.manifests import GoldenOutput, ModelFile, ModelManifest, OutputRecord
from schemas.states import FailureReason, UpdateState

# fmt: off
__all__ = [  # one door to every document: some live in deployments, fields and manifests
    "MAX_DOCUMENT_BYTES", "MAX_MANIFEST_BYTES", "MAX_PLACEMENTS", "Ack", "BootId", "ChunkRequest", "Command", "Count", "DeploymentSpec", "Desired",
    "DevicePresence", "Digest", "Document", "EnrolReply", "EnrolRequest", "Event", "GoldenOutput", "Id",
    "Kernels", "Load", "ManagerPresence", "ModelFile", "ModelManifest", "Name", "OutputRecord", "PackageRef",
    "PartPlacement", "Placements",
    "PolicyName", "Reading", "Reply", "Reported", "Resync", "SplitConfig", "Target", "TelemetryMirror",
    "Text", "UnixMs", "Version", "WorkerPresence", "Written", "canonical_bytes", "parse_document",
]
# fmt: on

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_PLACEMENTS = 64  # of one model: a presence must stay small, and a headset follows one at a time
MAX_MANIFEST_BYTES = 4 * 1024 * 1024  # hashes of 60 KiB chunks: enough for models of 3 GB


# model digest -> fingerprint of the kernels that compute it there: equal ones give equal bytes
Kernels = Annotated[dict[Digest, Digest], Field(max_length=64)]
# model digest -> ids of the placements that were proved on these kernels
Placements = Annotated[
    dict[
        Digest,
        Annotated[tuple[Annotated[int, Field(gt=0, le=0xFFFF_FFFF)], ...], Field(max_length=MAX_PLACEMENTS)],
    ],
    Field(max_length=64),
]


class PackageRef(Reading):
    """A model package by its content address. ``digest`` is the sha256 of the manifest's bytes."""

    digest: Digest
    manifest_bytes: Annotated[int, Field(gt=0, le=MAX_MANIFEST_BYTES)]
    name: Name
    version: Version
    model_digest: Digest


class DevicePresence(Reading):
    """A headset's birth and will. The same ``session`` stands in both; an offline of an old one is ignored."""

    device: Id
    online: bool
    session: Count
    boot_id: BootId
    device_class: Name
    software: Version
    runtimes: dict[Text, Text] = Field(default_factory=dict)
    kernels: Kernels = Field(default_factory=dict)
    tasks: tuple[Text, ...] = ()
    simulated: bool = False
    sent_ms: UnixMs


class WorkerPresence(Reading):
    """A worker's birth and will."""

    worker: Id
    online: bool
    session: Count
    boot_id: BootId
    software: Version
    tasks: tuple[Text, ...] = ()
    models: dict[Text, Digest] = Field(default_factory=dict)  # task -> digest of the model that answers it
    runtimes: dict[Text, Text] = Field(default_factory=dict)
    kernels: Kernels = Field(default_factory=dict)
    placements: Placements = Field(default_factory=dict)
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    data_url: Annotated[Text, Field(max_length=256)] | None = None
    sent_ms: UnixMs


class ManagerPresence(Reading):
    """The birth and will of a site's gateway: while it is offline its devices are unknown, not offline."""

    manager: Id
    online: bool
    session: Count
    epoch: Count
    sent_ms: UnixMs


class Load(Reading):
    """How busy a worker is, at most twice a second."""

    worker: Id
    boot_id: BootId
    queued: Count
    running: Count
    run_p50_us: Count
    run_p99_us: Count
    answered: Count
    refused: Count
    sent_ms: UnixMs


class Desired(Reading):
    """What the manager wants one node to run. Newer is the larger (epoch, version)."""

    device: Id
    epoch: Count
    version: Count
    deployment: Id | None = None
    package: PackageRef | None = None
    split_config: SplitConfig | None = None
    start_before_ms: UnixMs | None = None  # the lease: an attempt not begun by then expires
    sent_ms: UnixMs


class Reported(Reading):
    """What a node runs and how its last attempt went."""

    device: Id
    boot_id: BootId
    epoch: Count = 0
    version: Count = 0
    deployment: Id | None = None
    attempt: Count = 0
    seq: Count = 0  # grows with every report of this boot
    state: UpdateState = UpdateState.IDLE
    reason: FailureReason | None = None
    detail: Text = ""
    progress_bytes: Count = 0
    total_bytes: Count = 0
    active: PackageRef | None = None
    previous: PackageRef | None = None
    model: Text = ""
    split_config: SplitConfig | None = None
    sent_ms: UnixMs


class Event(Reading):
    """Something a headset wants known, with the trace it belongs to."""

    device: Id
    boot_id: BootId
    seq: Count
    kind: Name
    detail: Text = ""
    deployment: Id | None = None
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    sent_ms: UnixMs


class Ack(Reading):
    """The manager has stored a terminal report."""

    deployment: Id
    boot_id: BootId
    seq: Count


class Command(Reading):
    """A request to a headset outside of its desired state."""

    command_id: Id
    kind: Literal["explain", "resend", "refuse"]
    boot_id: BootId | None = None  # refuse: the process that must stop, because its id is already online
    detail: Text = ""


class Reply(Reading):
    """The answer to a command."""

    command_id: Id
    ok: bool
    body: dict[str, object] = Field(default_factory=dict)


class ChunkRequest(Reading):
    """Chunks a headset still misses of one artifact, to be sent at a rate below live traffic."""

    digest: Digest
    chunks: Annotated[int, Field(ge=1, le=100_000)]
    # base64 of a bitmap, bit n % 8 of byte n // 8, 1 = missing
    missing: Annotated[str, Field(max_length=20_000)]
    window: Annotated[int, Field(ge=1, le=64)] = 8  # at most so many chunks answer one request
    rate_bytes_per_s: Annotated[int, Field(ge=10_000, lt=2**53)] = 2_000_000


class Resync(Reading):
    """The manager asks every owner to publish presence and reported again, spread over ``jitter_ms``."""

    epoch: Count
    jitter_ms: Annotated[int, Field(ge=0, le=600_000)] = 2000


class EnrolRequest(Reading):
    """A node without an identity asks for one."""

    client: Id
    device_class: Name
    claim: Annotated[Text, Field(max_length=512)]


class EnrolReply(Reading):
    """The answer to an enrolment request."""

    accepted: bool
    device: Id | None = None
    detail: Text = ""


class TelemetryMirror(Reading):
    """Telemetry as JSON for systems that do not read FlatBuffers; the field names are those of the message."""

    device: Id
    wall_ms: UnixMs
    window_ms: Count
    mode: Text
    fps: float
    outcomes: dict[Text, Count]
    answered: dict[Text, Count]
    switches: Count
    latency_ms: dict[Text, float]
    age_p99_ms: float
    rtt_ms: float
    battery_fraction: float
    temperature_c: float
    throttled: bool
    simulated: bool
    worker: Text
    model: Text
    wasted_runs: Count = 0  # of headsets that count them


Document = TypeVar("Document", bound=BaseModel)


def canonical_bytes(document: BaseModel) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal documents give equal bytes and digests."""
    return json.dumps(
        document.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def parse_document(
    kind: type[Document], payload: bytes | bytearray | memoryview, *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> Document:
    """Read a document that came from somewhere else.

    Raises:
        MalformedMessage: too large, not JSON, or a field breaks the contract; names the first field.
    """
    if len(payload) > max_bytes:
        raise MalformedMessage(
            Reason.TOO_LARGE, f"{kind.__name__} of {len(payload)} bytes, allowed are {max_bytes}"
        )
    try:
        return kind.model_validate_json(bytes(payload))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise MalformedMessage(Reason.BAD_DOCUMENT, f"{kind.__name__}.{where}: {first['msg']}") from error
