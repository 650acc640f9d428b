"""Rows of deployments and their per-device results."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from fleet_manager.domain import Deployment, DeviceResult
from fleet_manager.store.text import from_text, to_text
from fleet_manager.tables import deployments, results
from schemas.documents import DeploymentSpec, PackageRef
from schemas.states import DeploymentOutcome, DeviceOutcome, UpdateState

PREFIX = "dep-"


class DeploymentRows:
    """Read and write deployments."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_id(self) -> str:
        """The id of the next deployment."""
        newest = self._connection.execute(select(func.max(deployments.c.seq))).scalar() or 0
        return f"{PREFIX}{newest + 1}"

    def get(self, deployment_id: str) -> Deployment | None:
        """The deployment with its results, None when there is none of this id."""
        seq = _seq(deployment_id)
        if seq is None:
            return None
        return next(iter(self._read(select(deployments).where(deployments.c.seq == seq))), None)

    def newest(self, *, limit: int, before: int | None = None) -> tuple[Deployment, ...]:
        """Deployments, the newest first; ``before`` is the number of the one above the page."""
        query = select(deployments).order_by(deployments.c.seq.desc()).limit(limit)
        return self._read(query if before is None else query.where(deployments.c.seq < before))

    def running(self) -> tuple[Deployment, ...]:
        """Deployments that have not ended, the oldest first."""
        wanted = deployments.c.outcome == DeploymentOutcome.RUNNING.value
        return self._read(select(deployments).where(wanted).order_by(deployments.c.seq))

    def add(self, deployment: Deployment) -> None:
        """Store a new deployment."""
        seq = _seq(deployment.id)
        self._connection.execute(insert(deployments).values(seq=seq, **_values(deployment)))
        if deployment.results:
            self._connection.execute(
                insert(results),
                [
                    {"deployment_seq": seq, "device_id": result.device, **_result_values(result)}
                    for result in deployment.results
                ],
            )

    def put(self, before: Deployment, after: Deployment) -> None:
        """Store what changed between two values of one deployment."""
        seq = _seq(after.id)
        if after.outcome is not before.outcome:
            self._connection.execute(
                update(deployments).where(deployments.c.seq == seq).values(_values(after))
            )
        for old, new in zip(before.results, after.results, strict=True):
            if old is not new:
                self._connection.execute(
                    update(results)
                    .where(results.c.deployment_seq == seq, results.c.device_id == new.device)
                    .values(_result_values(new))
                )

    def _read(self, query: Select[Any]) -> tuple[Deployment, ...]:
        rows = self._connection.execute(query).all()
        members: dict[int, list[DeviceResult]] = defaultdict(list)
        found = (
            select(results)
            .where(results.c.deployment_seq.in_([row.seq for row in rows]))
            .order_by(results.c.device_id)
        )
        for row in self._connection.execute(found):
            members[row.deployment_seq].append(_result(row))
        return tuple(_deployment(row, tuple(members[row.seq])) for row in rows)


def _seq(deployment_id: str) -> int | None:
    digits = deployment_id.removeprefix(PREFIX)
    known = deployment_id.startswith(PREFIX) and digits.isascii() and digits.isdigit() and len(digits) < 10
    return int(digits) if known else None


def _values(deployment: Deployment) -> dict[str, object]:
    return {
        "spec": to_text(deployment.spec),
        "package": to_text(deployment.package),
        "created_ms": deployment.created_ms,
        "deadline_ms": deployment.deadline_ms,
        "outcome": deployment.outcome.value,
        "reason": deployment.reason,
        "detail": deployment.detail,
        "finished_ms": deployment.finished_ms,
    }


def _result_values(result: DeviceResult) -> dict[str, object]:
    return {
        "epoch": result.epoch,
        "version": result.version,
        "outcome": result.outcome.value,
        "state": result.state.value if result.state else None,
        "reason": result.reason,
        "detail": result.detail,
        "progress_bytes": result.progress_bytes,
        "total_bytes": result.total_bytes,
        "finished_ms": result.finished_ms,
    }


def _deployment(row: Row[Any], members: tuple[DeviceResult, ...]) -> Deployment:
    return Deployment(
        id=f"{PREFIX}{row.seq}",
        spec=DeploymentSpec.model_validate_json(row.spec),
        package=from_text(PackageRef, row.package),
        created_ms=row.created_ms,
        deadline_ms=row.deadline_ms,
        outcome=DeploymentOutcome(row.outcome),
        reason=row.reason,
        detail=row.detail,
        finished_ms=row.finished_ms,
        results=members,
    )


def _result(row: Row[Any]) -> DeviceResult:
    return DeviceResult(
        device=row.device_id,
        epoch=row.epoch,
        version=row.version,
        outcome=DeviceOutcome(row.outcome),
        state=UpdateState(row.state) if row.state else None,
        reason=row.reason,
        detail=row.detail,
        progress_bytes=row.progress_bytes,
        total_bytes=row.total_bytes,
        finished_ms=row.finished_ms,
    )
