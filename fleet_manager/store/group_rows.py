"""Rows of groups and memberships."""

from sqlalchemy import Connection, delete, insert, select

from fleet_manager.domain import Group
from fleet_manager.errors import NotFoundError
from fleet_manager.tables import group_members, groups


class GroupRows:
    """Read and write groups."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> Group | None:
        """The group with its members, None when there is none of this name."""
        return next(iter(self._read(name)), None)

    def known(self, name: str) -> Group:
        """The group with its members.

        Raises:
            NotFoundError: there is none of this name.
        """
        group = self.get(name)
        if group is None:
            raise NotFoundError(f"no group {name!r}", fix=f"create it: headway group create {name}")
        return group

    def all(self) -> tuple[Group, ...]:
        """All groups by name."""
        return self._read(None)

    def add(self, name: str, *, now_ms: int) -> None:
        """Store a new, empty group."""
        self._connection.execute(insert(groups).values(name=name, created_ms=now_ms))

    def remove(self, name: str) -> None:
        """Delete a group and its memberships, not its devices."""
        self._connection.execute(delete(group_members).where(group_members.c.group_name == name))
        self._connection.execute(delete(groups).where(groups.c.name == name))

    def has_member(self, name: str, device_id: str) -> bool:
        """Whether a device is in a group."""
        query = select(group_members.c.device_id).where(
            group_members.c.group_name == name, group_members.c.device_id == device_id
        )
        return self._connection.execute(query).first() is not None

    def add_member(self, name: str, device_id: str) -> None:
        """Add one membership."""
        self._connection.execute(insert(group_members).values(group_name=name, device_id=device_id))

    def remove_member(self, name: str, device_id: str) -> None:
        """End one membership."""
        self._connection.execute(
            delete(group_members).where(
                group_members.c.group_name == name, group_members.c.device_id == device_id
            )
        )

    def _read(self, name: str | None) -> tuple[Group, ...]:
        query = (
            select(groups.c.name, groups.c.created_ms, group_members.c.device_id)
            .outerjoin_from(groups, group_members)
            .order_by(groups.c.name, group_members.c.device_id)
        )
        if name is not None:
            query = query.where(groups.c.name == name)
        found: dict[str, tuple[int, list[str]]] = {}
        for row in self._connection.execute(query):
            _, members = found.setdefault(row.name, (row.created_ms, []))
            if row.device_id is not None:
                members.append(row.device_id)
        return tuple(
            Group(name=key, members=tuple(members), created_ms=created)
            for key, (created, members) in found.items()
        )
