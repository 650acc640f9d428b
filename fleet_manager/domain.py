"""Vocabulary of the office: devices, groups, models, deployments.

Plain values without SQL, sockets or clocks. Times are unix milliseconds. The documents inside
(presence, desired, reported, specs) are those of ``schemas.documents``, unchanged.
"""

from dataclasses import dataclass, field
from enum import Enum

from schemas.documents import (
    DeploymentSpec,
    Desired,
    DevicePresence,
    ModelManifest,
    PackageRef,
    Reported,
    SplitConfig,
)
from schemas.states import DeploymentOutcome, DeviceOutcome, UpdateState


class Admission(str, Enum):
    """Whether a device may take part."""

    PENDING = "pending"
    ADMITTED = "admitted"


class Connectivity(str, Enum):
    """What the office knows of a device's connection; unknown until it was heard since the office's start."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a device is known to have committed; the base of its next desired document."""

    package: PackageRef | None = None
    split_config: SplitConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One headset and its twin."""

    id: str
    admission: Admission
    connectivity: Connectivity
    presence: DevicePresence  # the birth of the boot that counts
    first_seen_ms: int
    last_seen_ms: int
    desired: Desired | None = None
    settled: Settled = field(default_factory=Settled)
    reported: Reported | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named, static set of devices."""

    name: str
    members: tuple[str, ...]
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One published package."""

    ref: PackageRef
    manifest: ModelManifest
    published_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """How one member of a deployment fares."""

    device: str
    epoch: int
    version: int
    outcome: DeviceOutcome = DeviceOutcome.PENDING
    state: UpdateState | None = None  # as the device last reported for this deployment
    reason: str | None = None
    detail: str = ""
    progress_bytes: int = 0
    total_bytes: int = 0
    finished_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One order to change the members of a group, or one device, once."""

    id: str
    spec: DeploymentSpec
    package: PackageRef | None
    created_ms: int
    deadline_ms: int
    outcome: DeploymentOutcome = DeploymentOutcome.RUNNING
    reason: str | None = None
    detail: str = ""
    finished_ms: int | None = None
    results: tuple[DeviceResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """Something that happened, as the office noted it."""

    at_ms: int
    device: str | None
    kind: str
    detail: str
