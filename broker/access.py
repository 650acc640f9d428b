"""Who may publish and hear what: the stream table as a Mosquitto access list.

Pure core. Nothing is granted that is not a row of the table; a client's own place
in a topic holds its own id and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.errors import RoadMisuse
from schemas.topics import POOL, TOPICS, Role, Row, check_id

# Which part of a topic is a role's own.
_OWN_FIELDS: dict[Role, str] = {
    Role.DEVICE: "device",
    Role.WORKER: "worker",
    Role.MANAGER: "manager",
    Role.ENROLLEE: "client",
    Role.BRIDGE: "client",
    Role.INTEGRATION: "client",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One client that may log in. Its id is what stands in its topics."""

    name: str
    role: Role
    id: str
    site: str | None  # None: every site (a central manager or bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One line of an access list."""

    topic_filter: str
    write: bool
    read: bool

    @property
    def word(self) -> str:
        """The access as Mosquitto writes it."""
        return "readwrite" if self.write and self.read else "write" if self.write else "read"


def user(role: Role, own_id: str, *, site: str | None) -> User:
    """Name a client `{role}.{id}`, checked. Raises schemas' TopicError."""
    if site is not None:
        check_id("site", site)
    elif role in {Role.DEVICE, Role.WORKER, Role.ENROLLEE}:
        raise RoadMisuse(f"a {role.value} belongs to one site: name it")
    return User(name=f"{role.value}.{check_id('client', own_id)}", role=role, id=own_id, site=site)


def own_id(name: str) -> str | None:
    """Return the id within a user name `{role}.{id}`; None where it is none of ours."""
    role, _, tail = name.partition(".")
    return tail if tail and role in {each.value for each in Role} else None


def grants(client: User) -> list[Grant]:
    """Return what one client may do, row by row."""
    granted = []
    for row in TOPICS:
        write, read = client.role in row.writers, client.role in row.readers
        if write or read:
            granted.append(Grant(topic_filter=_filter(row, client, own_id=client.id), write=write, read=read))
        if read and row.name == "infer":  # a worker also hears the pool's requests
            pool = _filter(row, client, own_id=POOL)
            granted.append(Grant(topic_filter=pool, write=False, read=True))
    return granted


def acl_text(users: Iterable[User]) -> str:
    """Return the access list of all `users`; whoever is not in it may do nothing."""
    blocks = ["# Generated from the stream table. Do not edit: run `headway broker config` again.\n"]
    for client in sorted(users, key=lambda each: each.name):
        lines = [f"topic {grant.word} {grant.topic_filter}" for grant in grants(client)]
        blocks.append("\n".join([f"user {client.name}", *lines, ""]))
    return "\n".join(blocks)


def _filter(row: Row, client: User, *, own_id: str) -> str:
    own = _OWN_FIELDS.get(client.role)
    fields = {field: own_id if field == own else "+" for field in row.fields}
    fields["site"] = client.site or "+"
    return row.pattern.format(**fields)
