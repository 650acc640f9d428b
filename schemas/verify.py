"""Check received bytes before any field is read. Core: no state, no clock.

FlatBuffers for Python has no verifier, and its accessors follow whatever offset they find. ``verify`` walks
the tables of ``layout`` through the bytes and refuses the first thing that breaks the contract; after it
returned, every generated accessor stays inside the buffer.
"""

import struct
from collections.abc import Mapping

from pydantic import BaseModel

from schemas.checksum import payload_crc32
from schemas.errors import MalformedMessage, Reason
from schemas.layout import ENUMS, FLOAT_MAX, LAYOUTS, ROOTS, SCALARS, STRUCTS, Field
from schemas.messages import DataMessage
from schemas.rules import RULES
from schemas.topics import row
from schemas.walk import (
    Buffer,
    Check,
    Plan,
    Walk,
    check_enum,
    check_finite_struct,
    check_scalar,
    check_string,
    check_table,
    check_tables,
    check_vector,
)

LEAST_BYTES = 12  # root offset, identifier, and a table of four bytes

_U32 = struct.Struct("<I").unpack_from


def _absent(field: Field) -> Reason | None:
    """An absent scalar means 0, which its bounds may forbid."""
    if field.required:
        return Reason.MISSING_FIELD
    if field.allowed is not None and 0 not in field.allowed:
        return Reason.BAD_ENUM
    return Reason.BAD_VALUE if field.low is not None and field.low > 0 else None


def _compile_scalar(where: str, field: Field) -> Check:
    letter, size = SCALARS[field.type]
    bounded = letter == "f" or field.low is not None or field.high is not None
    return Check(
        where=where,
        inline_bytes=size,
        absent=_absent(field),
        run=check_scalar if bounded else None,
        unpack=struct.Struct("<" + letter).unpack_from,
        low=field.low if field.low is not None else (-FLOAT_MAX if letter == "f" else 0),
        high=field.high if field.high is not None else FLOAT_MAX,
    )


def _compile_vector(where: str, field: Field) -> Check:
    item = field.type[1:-1]
    letters, size = {**SCALARS, **STRUCTS}.get(item, ("", 4))
    return Check(
        where=where,
        inline_bytes=4,
        absent=_absent(field),
        run=check_tables if item in LAYOUTS else check_vector,
        least=field.least,
        most=field.most,
        item_bytes=size,
        floats=letters.endswith("f"),
        table=item,
        checksummed=field.checksummed,
    )


def _compile(layout_name: str, field: Field) -> Check:
    where, absent = f"{layout_name}.{field.name}", _absent(field)
    if field.type in SCALARS:
        return _compile_scalar(where, field)
    if field.type in ENUMS:
        members = frozenset(int(member) for member in field.allowed or ENUMS[field.type])
        return Check(where, 1, absent, check_enum, members=members)
    if field.type in STRUCTS:
        letters, size = STRUCTS[field.type]
        run = check_finite_struct if letters.endswith("f") else None
        return Check(where, size, absent, run, unpack=struct.Struct("<" + letters).unpack_from)
    if field.type == "string":
        return Check(where, 4, absent, check_string, most=field.most)
    if field.type in LAYOUTS:
        return Check(where, 4, absent, check_table, table=field.type)
    return _compile_vector(where, field)


_PLANS: dict[str, Plan] = {
    name: Plan(
        name,
        tuple(_compile(name, field) for field in layout.fields),
        tuple(struct.Struct(f"<{count}H").unpack_from for count in range(len(layout.fields) + 1)),
        RULES.get(name),
    )
    for name, layout in LAYOUTS.items()
}
_LIMITS: dict[bytes, tuple[str, int]] = {
    identifier: (root, row(stream).max_payload_bytes) for identifier, (root, stream) in ROOTS.items()
}


def verify(data: Buffer, *, stream: str | None = None, checksum: bool = True) -> str:
    """Check a data message; the name of its root table, whose accessors are safe from now on.

    ``stream`` names the row of the stream table the bytes came on. ``checksum=False`` leaves the payload's
    CRC out, for bytes of our own making.

    Raises:
        MalformedMessage: the bytes break the contract; carries the first reason found.
    """
    if len(data) < LEAST_BYTES:
        raise MalformedMessage(Reason.TOO_SHORT, f"{len(data)} bytes, a message has at least {LEAST_BYTES}")
    identifier = bytes(data[4:8])
    root, most = _LIMITS.get(identifier, ("", 0))
    if not root:
        raise MalformedMessage(Reason.BAD_IDENTIFIER, f"{identifier!r} is not one of {sorted(ROOTS)}")
    if stream is not None and ROOTS[identifier][1] != stream:
        raise MalformedMessage(Reason.BAD_IDENTIFIER, f"a {root} does not travel on the stream {stream!r}")
    if len(data) > most:
        raise MalformedMessage(Reason.TOO_LARGE, f"{root} of {len(data)} bytes, allowed are {most}")
    walk = Walk(data, _PLANS)
    walk.table(walk.follow(0, root), _PLANS[root])
    if sum(end - start for start, end in walk.spans) > walk.size:
        raise MalformedMessage(Reason.BAD_VECTOR, f"{root}: payloads overlap")
    if checksum:
        _check_crc(walk)
    return root


def _check_crc(walk: Walk) -> None:
    view = memoryview(walk.data)
    found = payload_crc32(view[start:end] for start, end in walk.spans)
    said = _U32(walk.data, walk.checksum_at)[0] if walk.checksum_at else 0
    if found != said:
        raise MalformedMessage(Reason.BAD_CHECKSUM, f"payload has {found:08x}, header says {said:08x}")


_OWN_IDS = ("device", "worker", "manager", "client")


def check_sender(ids: Mapping[str, str], message: DataMessage | BaseModel) -> None:
    """Refuse a message that names another subject than the topic it came on.

    ``ids`` are the placeholders of the topic, which the broker's access lists attest. A ``Desired`` or
    ``Reported`` of a worker names the worker in its field ``device``.

    Raises:
        MalformedMessage: ``WRONG_SENDER``, names both.
    """
    if isinstance(message, BaseModel):
        for field in _OWN_IDS:
            said = getattr(message, field, None)
            attested = ids.get(field) or (ids.get("worker") if field == "device" else None)
            if said is not None and attested is not None and said != attested:
                raise MalformedMessage(Reason.WRONG_SENDER, f"{field} {said!r} on the topic of {attested!r}")
        return
    task = message.header.task.name.lower()
    if ids.get("task", task) != task:
        raise MalformedMessage(Reason.WRONG_SENDER, f"task {task!r} on the topic of {ids['task']!r}")
