"""Documents of the control plane: JSON that people and other systems read and write.

Documents written by operators forbid unknown keys, so that a typing mistake is an error that names the
field; documents written by our own nodes ignore unknown keys, so that old readers accept new writers.
Pure: parsing, checking and canonical bytes; nothing here reads a file or a clock.
"""

import json
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import MalformedMessage, Reason
from schemas.states import FailureReason, UpdateState

MAX_DOCUMENT_BYTES = 64 * 1024

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,31}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
UnixMs = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=1024)]

PolicyName = Literal["local", "offload", "rtt-threshold"]
OutputRecord = dict[str, float | int | str | bool | None]


class Written(BaseModel):
    """Base of documents that people write."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reading(BaseModel):
    """Base of documents that nodes write; unknown keys come from newer nodes and are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SplitConfig(Written):
    """How a headset chooses where to compute."""

    policy: PolicyName = "rtt-threshold"
    deadline_ms: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    rtt_threshold_ms: Annotated[float, Field(gt=0, le=1000)] = 15.0
    up_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8  # a good probe is below up_ratio * threshold
    up_probes: Annotated[int, Field(ge=1, le=100)] = 5  # good probes in a row before going up
    probe_interval_ms: Annotated[int, Field(ge=20, le=10_000)] = 100
    reply_timeout_ms: Annotated[float, Field(gt=0, le=10_000)] = (
        60.0  # a reply missing so long counts as lost
    )
    worker: Id | Literal["auto"] = "auto"
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 80
    frame_width_px: Annotated[int, Field(ge=64, le=4096)] = 640


class PackageRef(Reading):
    """A model package by its content address. ``digest`` is the sha256 of the manifest's bytes."""

    digest: Digest
    manifest_bytes: Annotated[int, Field(gt=0, le=4 * 1024 * 1024)]
    name: Name
    version: Version
    model_digest: Digest


class DevicePresence(Reading):
    """A headset's birth and will. The same ``session`` stands in both; an offline of an old one is ignored."""

    device: Id
    online: bool
    session: Annotated[int, Field(ge=0)]
    boot_id: BootId
    device_class: Name
    software: Version
    runtimes: dict[str, str] = {}
    tasks: tuple[str, ...] = ()
    simulated: bool = False
    sent_ms: UnixMs


class WorkerPresence(Reading):
    """A worker's birth and will."""

    worker: Id
    online: bool
    session: Annotated[int, Field(ge=0)]
    boot_id: BootId
    software: Version
    tasks: tuple[str, ...] = ()
    models: dict[str, Digest] = {}  # task -> digest of the model that answers it
    runtimes: dict[str, str] = {}
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    data_url: Annotated[str, Field(max_length=256)] | None = None
    sent_ms: UnixMs


class ManagerPresence(Reading):
    """The birth and will of a site's gateway: while it is offline its devices are unknown, not offline."""

    manager: Id
    online: bool
    session: Annotated[int, Field(ge=0)]
    epoch: Annotated[int, Field(ge=0)]
    sent_ms: UnixMs


class Load(Reading):
    """How busy a worker is, at most twice a second."""

    worker: Id
    boot_id: BootId
    queued: Annotated[int, Field(ge=0)]
    running: Annotated[int, Field(ge=0)]
    run_p50_us: Annotated[int, Field(ge=0)]
    run_p99_us: Annotated[int, Field(ge=0)]
    answered: Annotated[int, Field(ge=0)]
    refused: Annotated[int, Field(ge=0)]
    sent_ms: UnixMs


class Desired(Reading):
    """What the manager wants one node to run. Newer is the larger (epoch, version)."""

    device: Id
    epoch: Annotated[int, Field(ge=0)]
    version: Annotated[int, Field(ge=0)]
    deployment: Id | None = None
    package: PackageRef | None = None
    split_config: SplitConfig | None = None
    start_before_ms: UnixMs | None = None  # the lease: an attempt not begun by then expires
    sent_ms: UnixMs


class Reported(Reading):
    """What a node runs and how its last attempt went."""

    device: Id
    boot_id: BootId
    epoch: Annotated[int, Field(ge=0)] = 0
    version: Annotated[int, Field(ge=0)] = 0
    deployment: Id | None = None
    attempt: Annotated[int, Field(ge=0)] = 0
    seq: Annotated[int, Field(ge=0)] = 0  # grows with every report of this boot
    state: UpdateState = UpdateState.IDLE
    reason: FailureReason | None = None
    detail: Text = ""
    progress_bytes: Annotated[int, Field(ge=0)] = 0
    total_bytes: Annotated[int, Field(ge=0)] = 0
    active: PackageRef | None = None
    previous: PackageRef | None = None
    model: Text = ""
    split_config: SplitConfig | None = None
    sent_ms: UnixMs


class Event(Reading):
    """Something a headset wants known, with the trace it belongs to."""

    device: Id
    boot_id: BootId
    seq: Annotated[int, Field(ge=0)]
    kind: Name
    detail: Text = ""
    deployment: Id | None = None
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    sent_ms: UnixMs


class Ack(Reading):
    """The manager has stored a terminal report."""

    deployment: Id
    boot_id: BootId
    seq: Annotated[int, Field(ge=0)]


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
    body: dict[str, object] = {}


class ChunkRequest(Reading):
    """Chunks a headset still misses of one artifact, to be sent at a rate below live traffic."""

    digest: Digest
    chunks: Annotated[int, Field(ge=1, le=100_000)]
    missing: Annotated[
        str, Field(max_length=20_000)
    ]  # base64 of a bitmap, bit n % 8 of byte n // 8, 1 = missing
    window: Annotated[int, Field(ge=1, le=64)] = 8  # at most so many chunks answer one request
    rate_bytes_per_s: Annotated[int, Field(ge=10_000)] = 2_000_000


class Resync(Reading):
    """The manager asks every owner to publish presence and reported again, spread over ``jitter_ms``."""

    epoch: Annotated[int, Field(ge=0)]
    jitter_ms: Annotated[int, Field(ge=0, le=600_000)] = 2000


class EnrolRequest(Reading):
    """A node without an identity asks for one."""

    client: Id
    device_class: Name
    claim: Annotated[str, Field(max_length=512)]


class EnrolReply(Reading):
    """The answer to an enrolment request."""

    accepted: bool
    device: Id | None = None
    detail: Text = ""


class TelemetryMirror(Reading):
    """Telemetry as JSON for systems that do not read FlatBuffers; the field names are those of the message."""

    device: Id
    wall_ms: UnixMs
    window_ms: Annotated[int, Field(ge=0)]
    mode: str
    fps: float
    outcomes: dict[str, int]
    answered: dict[str, int]
    switches: int
    latency_ms: dict[str, float]
    age_p99_ms: float
    rtt_ms: float
    battery_fraction: float
    temperature_c: float
    throttled: bool
    simulated: bool
    worker: str
    model: str


class Target(Written):
    """Whom a deployment is for: exactly one of a group or a device."""

    group: Name | None = None
    device: Id | None = None

    def model_post_init(self, _context: object, /) -> None:
        """Refuse none and both."""
        if (self.group is None) == (self.device is None):
            raise ValueError("name exactly one of target.group and target.device")


class DeploymentSpec(Written):
    """A deployment as the operator writes it (YAML or JSON)."""

    target: Target
    model: (
        Annotated[
            str,
            Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}(:[A-Za-z0-9][A-Za-z0-9.+_-]{0,31})?$|^[0-9a-f]{64}$"),
        ]
        | None
    ) = None
    split_config: SplitConfig | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0

    def model_post_init(self, _context: object, /) -> None:
        """Refuse a deployment that changes nothing."""
        if self.model is None and self.split_config is None:
            raise ValueError("name a model, a split_config, or both: this deployment changes nothing")


class ModelFile(Reading):
    """One file of a package with the hash of every 60 KiB chunk, so that a transfer resumes and heals."""

    role: Literal["model", "golden"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    bytes: Annotated[int, Field(gt=0, le=512 * 1024 * 1024)]
    sha256: Digest
    chunk_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)]
    chunk_sha256: tuple[Digest, ...]


class GoldenOutput(Reading):
    """How near an output must come to the published one: the mean absolute difference in the output's unit."""

    name: str
    tolerance: Annotated[float, Field(ge=0)]


class ModelManifest(Reading):
    """The content list of a package. Its canonical bytes are what the package's digest is taken of."""

    schema_version: Literal[1] = 1
    name: Name
    version: Version
    task: Literal["hands", "detect", "text", "speech"]
    runtimes: tuple[str, ...]
    quantisation: Literal["float", "float16", "int8", "mixed"]
    model_digest: Digest
    files: tuple[ModelFile, ...]
    golden: tuple[GoldenOutput, ...] = ()
    agreement: dict[str, OutputRecord] = {}
    calibration: OutputRecord = {}
    source: Text = ""
    licence: Text = ""

    def file(self, role: str) -> ModelFile | None:
        """The file with this role, None where the package has none."""
        return next((file for file in self.files if file.role == role), None)


Document = TypeVar("Document", bound=BaseModel)


def canonical_bytes(document: BaseModel) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal documents give equal bytes and digests."""
    return json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


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
