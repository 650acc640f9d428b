"""Rows of devices and their twins."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from fleet_manager.domain import Admission, Connectivity, Device, Settled
from fleet_manager.errors import NotFoundError
from fleet_manager.store.text import from_text, to_text
from fleet_manager.tables import devices
from schemas.documents import Desired, DevicePresence, PackageRef, Reported, SplitConfig


class DeviceRows:
    """Read and write devices."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, device_id: str) -> Device | None:
        """The device, None when it was never seen."""
        row = self._connection.execute(select(devices).where(devices.c.id == device_id)).first()
        return None if row is None else _device(row)

    def known(self, device_id: str) -> Device:
        """The device.

        Raises:
            NotFoundError: it was never seen.
        """
        device = self.get(device_id)
        if device is None:
            raise NotFoundError(f"no device {device_id!r} was ever seen", fix="list them: headway device ls")
        return device

    def all(self, ids: Iterable[str] | None = None) -> tuple[Device, ...]:
        """All devices, or those of ``ids``, by id."""
        query = select(devices).order_by(devices.c.id)
        if ids is not None:
            query = query.where(devices.c.id.in_(list(ids)))
        return tuple(_device(row) for row in self._connection.execute(query))

    def offline_ids(self) -> frozenset[str]:
        """Ids of the devices that are not known to be connected."""
        query = select(devices.c.id).where(devices.c.connectivity != Connectivity.ONLINE.value)
        return frozenset(self._connection.execute(query).scalars())

    def put(self, device: Device) -> None:
        """Store a device, new or known."""
        values = _values(device)
        changed = self._connection.execute(update(devices).where(devices.c.id == device.id).values(values))
        if changed.rowcount == 0:
            self._connection.execute(insert(devices).values(id=device.id, **values))

    def forget_connectivity(self) -> None:
        """Nothing is known of anybody's connection until it is heard again."""
        self._connection.execute(update(devices).values(connectivity=Connectivity.UNKNOWN.value))


def _values(device: Device) -> dict[str, object]:
    return {
        "admission": device.admission.value,
        "connectivity": device.connectivity.value,
        "presence": to_text(device.presence),
        "first_seen_ms": device.first_seen_ms,
        "last_seen_ms": device.last_seen_ms,
        "desired": to_text(device.desired),
        "settled_package": to_text(device.settled.package),
        "settled_split_config": to_text(device.settled.split_config),
        "reported": to_text(device.reported),
    }


def _device(row: Row[Any]) -> Device:
    return Device(
        id=row.id,
        admission=Admission(row.admission),
        connectivity=Connectivity(row.connectivity),
        presence=DevicePresence.model_validate_json(row.presence),
        first_seen_ms=row.first_seen_ms,
        last_seen_ms=row.last_seen_ms,
        desired=from_text(Desired, row.desired),
        settled=Settled(
            package=from_text(PackageRef, row.settled_package),
            split_config=from_text(SplitConfig, row.settled_split_config),
        ),
        reported=from_text(Reported, row.reported),
    )
