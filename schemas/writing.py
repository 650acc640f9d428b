"""Messages as FlatBuffers, driven by the tables of ``layout``. Core.

flatc's Python builder costs 200 µs per frame, most of it in the header; one ``struct.pack`` per table costs a
tenth. So every table is written whole but for its sparse fields that hold nothing, each field in one fixed place for
what is left out, parents before children: what the specification allows, what ``verify`` and the generated accessors
read, and the tests hold both to it.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from operator import attrgetter
from typing import Any

import numpy as np

from schemas.checksum import payload_crc32
from schemas.errors import EncodeError
from schemas.layout import ENUMS, IDENTIFIERS, LAYOUTS, SCALARS, STRUCTS, Field
from schemas.messages import DataMessage, Outcomes, RoiBox

_EMPTY = bytes(8)  # serves as empty vector and as empty string: a count of 0, then the string's end mark
_MISFITS = (struct.error, OverflowError, TypeError)  # what struct raises for a value that does not fit
_ROI = struct.Struct("<5f")
_ROI_VALUES = attrgetter("center_x", "center_y", "width", "height", "rotation_rad")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """One field in its fixed place. ``write`` gives what is packed there, from the position it is at."""

    where: str
    letters: str
    at: int  # from the start of the table
    field: Field
    write: "Callable[[_Out, Any, int, _Slot], Any] | None"  # None = the value itself is packed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """One table, less what it leaves out: its constant vtable, its body as one struct, its fields."""

    name: str
    vtable: bytes
    align: int  # of the byte behind the vtable's offset
    body: struct.Struct
    slots: tuple[_Slot, ...]  # by id, without retired fields
    packed: tuple[int, ...]  # slots in the order of the body
    values: Callable[[Any], Sequence[Any]]  # the message's values by slot
    checksum_at: int  # place of the payload's checksum in the body; 0 = this table has none
    sparse: tuple[tuple[int, object], ...] = ()  # slots that may be left out, and what they hold then
    leaner: "dict[tuple[int, ...], _Form]" = dataclass_field(
        default_factory=dict
    )  # by the slots that are left out


class _Out:
    """The message so far: pieces in order, joined once at the end."""

    __slots__ = ("checksum", "empty_at", "payloads", "pieces", "size", "vtables")

    def __init__(self) -> None:
        self.pieces: list[bytes | bytearray | memoryview] = []
        self.payloads: list[bytes | bytearray | memoryview] = []
        self.size = 0
        self.vtables: dict[bytes, int] = {}
        self.empty_at = 0
        self.checksum: tuple[bytearray, int] = (bytearray(4), 0)  # where the payloads' checksum goes

    def add(self, piece: bytes | bytearray | memoryview, *, align: int = 4, ahead: int = 0) -> int:
        """Append a piece so that the byte ``ahead`` of its start is aligned; its position."""
        gap = -(self.size + ahead) % align
        if gap:
            self.pieces.append(bytes(gap))
            self.size += gap
        at = self.size
        self.pieces.append(piece)
        self.size += len(piece)
        return at

    def empty(self, at: int) -> int:
        """Position behind ``at`` of an empty vector; offsets only point forward, so a new one now and then."""
        if self.empty_at < at:
            self.empty_at = self.add(_EMPTY)
        return self.empty_at

    def table(self, form: _Form, message: object) -> int:
        """Write a table and what hangs below it; its position."""
        values = list(form.values(message))
        if form.sparse:
            form, values = _lean(form, values)
        vtable_at = self.vtables.get(form.vtable)
        if vtable_at is None:
            vtable_at = self.vtables[form.vtable] = self.add(form.vtable, align=2)
        body = bytearray(form.body.size)
        at = self.add(body, align=form.align, ahead=4)  # behind the vtable's offset lie the longs, if any
        if form.checksum_at:
            self.checksum = (body, form.checksum_at)
        for key, slot in enumerate(form.slots):
            if slot.write:
                values[key] = slot.write(self, values[key], at + slot.at, slot)
        flat: list[Any] = []
        for key in form.packed:
            value = values[key]
            flat.extend(value) if type(value) is tuple else flat.append(value)
        try:
            form.body.pack_into(body, 0, at - vtable_at, *flat)
        except _MISFITS as error:
            raise EncodeError(_misfit(form, values)) from error
        return at


def _lean(form: _Form, values: list[Any]) -> tuple[_Form, list[Any]]:
    """The form without the sparse fields that hold nothing, and the values of those that are left."""
    out = tuple([key for key, nothing in form.sparse if _is(values[key], nothing)])
    if not out:
        return form, values
    if out not in form.leaner:
        form.leaner[out] = _form(form.name, left_out=frozenset(form.slots[key].field.name for key in out))
    return form.leaner[out], [value for key, value in enumerate(values) if key not in out]


def _is(value: Any, nothing: object) -> bool:
    return len(value) == 0 if nothing is None else bool(value == nothing)


def _fits(slot: _Slot, value: Any) -> bool:
    try:
        struct.pack("<" + slot.letters, *(value if type(value) is tuple else (value,)))
    except _MISFITS:
        return False
    return True


def _misfit(form: _Form, values: Sequence[Any]) -> str:
    """Which field struct could not pack."""
    slot, value = next(pair for pair in zip(form.slots, values, strict=True) if not _fits(*pair))
    return f"{slot.where} is {value!r}, which does not fit its type {slot.field.type}"


def _opaque(_out: _Out, value: Any, _at: int, slot: _Slot) -> bytes:
    size = STRUCTS[slot.field.type][1]
    if len(value) != size:  # struct would pad or cut it silently
        raise EncodeError(f"{slot.where} has {len(value)} bytes, it must have {size}")
    return bytes(value)


def _roi(_out: _Out, roi: RoiBox, _at: int, _slot: _Slot) -> tuple[float, ...]:
    return tuple(_ROI_VALUES(roi))


def _string(out: _Out, text: str, at: int, _slot: _Slot) -> int:
    raw = text.encode()
    return (out.add(b"%b%b\0" % (len(raw).to_bytes(4, "little"), raw)) if raw else out.empty(at)) - at


def _payload(out: _Out, payload: Any, at: int, slot: _Slot) -> int:
    raw = payload if isinstance(payload, bytes | bytearray) else memoryview(payload).cast("B")
    out.payloads.append(raw)
    if not raw:
        return out.empty(at) - at
    start = out.add(len(raw).to_bytes(4, "little"), align=slot.field.align, ahead=4)
    out.add(raw, align=1)
    return start - at


def _numbers(out: _Out, values: Any, at: int, slot: _Slot) -> int:
    array = np.ascontiguousarray(values, "<f4" if slot.field.type == "[float]" else "<u4")
    return (
        out.add(array.size.to_bytes(4, "little") + array.tobytes()) - at if array.size else out.empty(at) - at
    )


def _rois(out: _Out, rois: Sequence[RoiBox], at: int, slot: _Slot) -> int:
    if not rois:
        return out.empty(at) - at
    try:
        packed = b"".join([_ROI.pack(*_ROI_VALUES(roi)) for roi in rois])
    except _MISFITS as error:
        raise EncodeError(f"{slot.where} has a value that does not fit: {error}") from error
    return out.add(len(rois).to_bytes(4, "little") + packed) - at


def _table(out: _Out, message: object, at: int, slot: _Slot) -> int:
    return out.table(_FORMS[slot.field.type], message) - at


def _tables(out: _Out, messages: Sequence[object], at: int, slot: _Slot) -> int:
    if not messages:
        return out.empty(at) - at
    offsets = bytearray(4 + 4 * len(messages))
    start = out.add(offsets)
    form = _FORMS[slot.field.type[1:-1]]
    places = [out.table(form, message) - (start + 4 + 4 * key) for key, message in enumerate(messages)]
    struct.pack_into(f"<{1 + len(places)}I", offsets, 0, len(places), *places)
    return start - at


_HEADER_VALUES = attrgetter(*(field.name for field in LAYOUTS["Header"].fields[:-1]))
_VALUES: dict[str, Callable[[Any], Sequence[Any]]] = {
    "Outcomes": attrgetter(*Outcomes.__dataclass_fields__),
    # the checksum's place is filled when the payload is known
    "Header": lambda header: (*_HEADER_VALUES(header), 0),
}


def _kind(field: Field) -> tuple[str, int, "Callable[[_Out, Any, int, _Slot], Any] | None"]:
    """Letters, bytes and writer of a field's inline part."""
    if field.type in SCALARS:
        return (*SCALARS[field.type], None)
    if field.type in ENUMS:
        return "B", 1, None
    if field.type in STRUCTS:
        return (*STRUCTS[field.type], _roi if field.type == "RoiBox" else _opaque)
    item = field.type.strip("[]")
    writers = (
        (field.type == "string", _string),
        (field.type in LAYOUTS, _table),
        (item in LAYOUTS, _tables),
        (item in STRUCTS, _rois),
        (field.checksummed, _payload),
        (True, _numbers),
    )
    return "I", 4, next(writer for fits, writer in writers if fits)


def _alignment(letters: str, size: int) -> int:
    return 8 if letters.endswith(("s", "q", "Q")) else min(size, 4)


def _nothing(field: Field) -> object:
    """What a sparse field holds when it is left out; None = no items."""
    if field.type in STRUCTS:
        return bytes(STRUCTS[field.type][1])
    return 0 if field.type in SCALARS or field.type in ENUMS else None


def _form(name: str, *, left_out: frozenset[str] = frozenset()) -> _Form:
    known = LAYOUTS[name].fields
    fields = [field for field in known if not field.retired and field.name not in left_out]
    kinds = [_kind(field) for field in fields]
    # widest alignment first leaves no gap between fields
    order = sorted(range(len(fields)), key=lambda key: -_alignment(*kinds[key][:2]))
    align = max(_alignment(*kind[:2]) for kind in kinds)
    at, places = 4, [0] * len(fields)
    for key in order:
        places[key] = at
        at += kinds[key][1]
    body = struct.Struct("<i" + "".join(kinds[key][0] for key in order))
    place_of = {field.name: place for field, place in zip(fields, places, strict=True)}
    entries = [place_of.get(field.name, 0) for field in known]
    while not entries[-1]:  # what is left out at the end needs no entry
        entries.pop()
    return _Form(
        name=name,
        vtable=struct.pack(f"<{2 + len(entries)}H", 4 + 2 * len(entries), body.size, *entries),
        align=align,
        body=body,
        slots=tuple(
            _Slot(where=f"{name}.{field.name}", letters=letters, at=place, field=field, write=write)
            for field, (letters, _, write), place in zip(fields, kinds, places, strict=True)
        ),
        packed=tuple(order),
        values=_VALUES.get(name) or attrgetter(*(field.name for field in fields)),
        checksum_at=places[-1] if fields[-1].name == "payload_crc32" else 0,
        sparse=tuple(
            (key, _nothing(field)) for key, field in enumerate(fields) if field.sparse and not left_out
        ),
    )


_FORMS: dict[str, _Form] = {name: _form(name) for name in LAYOUTS}


def written(message: DataMessage) -> bytes:
    """The bytes of a message.

    Raises:
        EncodeError: a value does not fit its field; names it.
    """
    root = type(message).__name__
    if root not in IDENTIFIERS:
        raise EncodeError(f"{root} is not a data message; the wire has {sorted(IDENTIFIERS)}")
    out = _Out()
    start = bytearray(8)
    out.add(start)
    root_at = out.table(_FORMS[root], message)
    struct.pack_into("<I4s", start, 0, root_at, IDENTIFIERS[root])
    struct.pack_into("<I", *out.checksum, payload_crc32(out.payloads))
    return b"".join(out.pieces)
