"""Vocabulary of the REST interface: what a client reads. Field names are those of ``domain``.

Times are unix milliseconds. Documents inside are those of ``schemas.documents``.
"""

from typing import Any

from pydantic import BaseModel, Field

from fleet_manager import domain
from fleet_manager.telemetry_board import Reading
from schemas.codec import mirror
from schemas.documents import (
    DeploymentSpec,
    Desired,
    Id,
    ModelManifest,
    Name,
    PackageRef,
    Reply,
    Reported,
    TelemetryMirror,
)


class Problem(BaseModel):
    """Why a request was not done (RFC 9457), and what to do about it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    fix: str


class DeviceView(BaseModel):
    """One headset in a list."""

    id: str
    admission: domain.Admission
    connectivity: domain.Connectivity
    device_class: str
    software: str
    simulated: bool
    boot_id: str
    session: int
    first_seen_ms: int
    last_seen_ms: int
    package: PackageRef | None
    model: str
    state: str | None
    telemetry: TelemetryMirror | None


class JournalView(BaseModel):
    """Something that happened to a device."""

    at_ms: int
    kind: str
    detail: str


class DeviceDetailView(DeviceView):
    """One headset with its twin and its newest journal entries."""

    runtimes: dict[str, str]
    tasks: tuple[str, ...]
    desired: Desired | None
    reported: Reported | None
    journal: tuple[JournalView, ...]


class ExplainView(BaseModel):
    """What a headset says about its choice; ``decisions`` as the headset wrote them, the newest last."""

    device: str
    policy: str
    mode: str
    reason: str
    decisions: tuple[dict[str, Any], ...]


class GroupView(BaseModel):
    """One group."""

    name: str
    members: tuple[str, ...]
    created_ms: int


class GroupCreate(BaseModel):
    """A group to create."""

    model_config = {"extra": "forbid"}

    name: Name


class MemberAdd(BaseModel):
    """A device to put into a group."""

    model_config = {"extra": "forbid"}

    device: Id


class ModelView(BaseModel):
    """One published package in a list."""

    digest: str
    name: str
    version: str
    task: str
    quantisation: str
    model_digest: str
    manifest_bytes: int
    total_bytes: int
    published_ms: int


class ModelDetailView(ModelView):
    """One published package with its manifest."""

    manifest: ModelManifest


class DeviceResultView(BaseModel):
    """How one member of a deployment fares."""

    device: str
    outcome: str
    epoch: int
    version: int
    state: str | None
    reason: str | None
    detail: str
    progress_bytes: int
    total_bytes: int
    finished_ms: int | None


class DeploymentView(BaseModel):
    """One deployment with its counts and its members."""

    id: str
    spec: DeploymentSpec
    package: PackageRef | None
    outcome: str
    reason: str | None
    detail: str
    created_ms: int
    deadline_ms: int
    finished_ms: int | None
    devices: int
    succeeded: int
    failed: int
    timed_out: int
    results: tuple[DeviceResultView, ...]


class HealthView(BaseModel):
    """How the office itself fares. ``road`` is absent while it runs without a gateway."""

    status: str = "ok"
    epoch: int
    road: str | None = None
    workers_online: int = 0
    inbox_waiting: int = 0
    counters: dict[str, int] = Field(default_factory=dict)


def device_view(device: domain.Device, reading: Reading | None) -> DeviceView:
    """A device as a client reads it."""
    return DeviceView(**_device_fields(device, reading))


def device_detail_view(
    device: domain.Device, reading: Reading | None, journal: tuple[domain.JournalEntry, ...]
) -> DeviceDetailView:
    """A device with its twin as a client reads it."""
    return DeviceDetailView(
        **_device_fields(device, reading),
        runtimes=device.presence.runtimes,
        tasks=device.presence.tasks,
        desired=device.desired,
        reported=device.reported,
        journal=tuple(JournalView(at_ms=e.at_ms, kind=e.kind, detail=e.detail) for e in journal),
    )


def _device_fields(device: domain.Device, reading: Reading | None) -> dict[str, Any]:
    presence, reported = device.presence, device.reported
    return {
        "id": device.id,
        "admission": device.admission,
        "connectivity": device.connectivity,
        "device_class": presence.device_class,
        "software": presence.software,
        "simulated": presence.simulated,
        "boot_id": presence.boot_id,
        "session": presence.session,
        "first_seen_ms": device.first_seen_ms,
        "last_seen_ms": device.last_seen_ms,
        "package": reported.active if reported else None,
        "model": reported.model if reported else "",
        "state": reported.state.value if reported else None,
        "telemetry": mirror(reading.telemetry, device.id) if reading else None,
    }


def group_view(group: domain.Group) -> GroupView:
    """A group as a client reads it."""
    return GroupView(name=group.name, members=group.members, created_ms=group.created_ms)


def model_view(model: domain.Model) -> ModelView:
    """A package as a client reads it."""
    return ModelView(**_model_fields(model))


def model_detail_view(model: domain.Model) -> ModelDetailView:
    """A package with its manifest as a client reads it."""
    return ModelDetailView(**_model_fields(model), manifest=model.manifest)


def _model_fields(model: domain.Model) -> dict[str, Any]:
    return {
        "digest": model.ref.digest,
        "name": model.ref.name,
        "version": model.ref.version,
        "task": model.manifest.task,
        "quantisation": model.manifest.quantisation,
        "model_digest": model.ref.model_digest,
        "manifest_bytes": model.ref.manifest_bytes,
        "total_bytes": sum(file.bytes for file in model.manifest.files),
        "published_ms": model.published_ms,
    }


def deployment_view(deployment: domain.Deployment) -> DeploymentView:
    """A deployment as a client reads it."""
    results = deployment.results

    def count(word: str) -> int:
        return sum(result.outcome.value == word for result in results)

    return DeploymentView(
        id=deployment.id,
        spec=deployment.spec,
        package=deployment.package,
        outcome=deployment.outcome.value,
        reason=deployment.reason,
        detail=deployment.detail,
        created_ms=deployment.created_ms,
        deadline_ms=deployment.deadline_ms,
        finished_ms=deployment.finished_ms,
        devices=len(results),
        succeeded=count("succeeded"),
        failed=count("failed"),
        timed_out=count("timed_out"),
        results=tuple(_result_view(result) for result in results),
    )


def explain_view(device: str, reply: Reply, *, last: int) -> ExplainView:
    """A headset's reply, read carefully: headsets of other versions say less, or more."""
    body = reply.body
    told = body.get("decisions")
    decisions = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    decisions.sort(key=_frame_number)
    words = {name: str(body.get(name, "")) for name in ("policy", "mode", "reason")}
    return ExplainView(device=device, decisions=tuple(decisions[-last:]), **words)


def _frame_number(decision: dict[str, Any]) -> int:
    number = decision.get("frame_id")
    return number if isinstance(number, int) else -1


def _result_view(result: domain.DeviceResult) -> DeviceResultView:
    return DeviceResultView(
        device=result.device,
        outcome=result.outcome.value,
        epoch=result.epoch,
        version=result.version,
        state=result.state.value if result.state else None,
        reason=result.reason,
        detail=result.detail,
        progress_bytes=result.progress_bytes,
        total_bytes=result.total_bytes,
        finished_ms=result.finished_ms,
    )
