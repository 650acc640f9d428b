"""The walk through one message's bytes: every field is checked, then read, in one pass. Core.

Knows how FlatBuffers lay out tables, vectors and strings, and nothing about our messages: those are rows of
the plans. Refuses the first fault with ``MalformedMessage``; reads no byte before it was found in bounds.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy import generic
from numpy.typing import NDArray

from schemas.errors import MalformedMessage, Reason
from schemas.layout import FLOAT_MAX

Buffer = bytes | bytearray | memoryview

_U8 = struct.Struct("<B").unpack_from
_U16_PAIR = struct.Struct("<HH").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One field, compiled: how the walk checks and reads it."""

    where: str
    inline_bytes: int
    absent: Reason | None  # why a message without this field is refused; None = it reads as ``default``
    default: object
    read: "Callable[[Walk, int, Check], object]"
    unpack: Callable[[Buffer, int], tuple[Any, ...]] = _U32
    low: float = 0
    high: float = 0
    members: Mapping[int, IntEnum] = field(default_factory=dict)
    least: int = 0
    most: int = 0
    item_bytes: int = 1
    dtype: str = ""
    make: Callable[..., object] = tuple
    table: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One table, compiled: ``unpack[n]`` reads ``n`` entries of its vtable, ``build`` takes the values by id."""

    name: str
    checks: tuple[Check, ...]
    unpack: tuple[Callable[[Buffer, int], tuple[int, ...]], ...]
    build: "Callable[[Walk, list[Any]], object]"


class Walk:
    """One message under check. Methods take absolute positions and raise at the first fault."""

    __slots__ = ("crc32", "data", "payloads", "plans", "size", "view")

    def __init__(self, data: Buffer, plans: Mapping[str, Plan]) -> None:
        self.data = data
        self.view = memoryview(data)
        self.size = len(data)
        self.plans = plans
        self.payloads: list[memoryview] = []  # what the checksum is of, in order
        self.crc32 = 0  # what the header says it is

    def table(self, at: int, plan: Plan) -> object:
        """The table at ``at`` as its message: the vtable first, then every known field."""
        table_bytes, entries = self.entries(at, plan)
        values = []
        for check, entry in zip(plan.checks, entries, strict=True):
            if entry:
                if entry < 4 or entry + check.inline_bytes > table_bytes:
                    raise MalformedMessage(Reason.BAD_VTABLE, f"{check.where} lies outside of its table")
                values.append(check.read(self, at + entry, check))
            elif check.absent:
                raise MalformedMessage(check.absent, f"{check.where} is absent")
            else:
                values.append(check.default)
        return plan.build(self, values)

    def entries(self, at: int, plan: Plan) -> tuple[int, tuple[int, ...]]:
        """Size of the table at ``at`` and where in it each known field lies; 0 = absent."""
        data, size = self.data, self.size
        vtable = at - _I32(data, at)[0]
        if vtable & 1 or not 0 <= vtable <= size - 4:
            raise MalformedMessage(Reason.BAD_VTABLE, f"{plan.name}: vtable at {vtable} of {size} bytes")
        vtable_bytes, table_bytes = _U16_PAIR(data, vtable)
        if vtable_bytes & 1 or vtable_bytes < 4 or vtable + vtable_bytes > size:
            raise MalformedMessage(Reason.BAD_VTABLE, f"{plan.name}: vtable of {vtable_bytes} bytes")
        if table_bytes < 4 or at + table_bytes > size:
            raise MalformedMessage(Reason.BAD_VTABLE, f"{plan.name}: table of {table_bytes} bytes at {at}")
        fields = len(plan.checks)
        known = min((vtable_bytes - 4) // 2, fields)  # entries past ours belong to a newer schema
        return table_bytes, plan.unpack[known](data, vtable + 4) + (0,) * (fields - known)

    def follow(self, at: int, where: str) -> int:
        """The position that the offset at ``at`` points to, with at least four bytes behind it."""
        target: int = at + _U32(self.data, at)[0]
        if target < at + 4 or target & 3 or target > self.size - 4:
            raise MalformedMessage(Reason.BAD_OFFSET, f"{where} points to {target} of {self.size} bytes")
        return target

    def vector(self, at: int, check: Check) -> tuple[int, int]:
        """Start and count of the vector whose offset lies at ``at``."""
        start = self.follow(at, check.where) + 4
        count: int = _U32(self.data, start - 4)[0]
        if start + count * check.item_bytes > self.size:
            raise MalformedMessage(Reason.BAD_VECTOR, f"{check.where} of {count} items passes the end")
        if not check.least <= count <= check.most:
            allowed = f"{check.least} to {check.most}"
            raise MalformedMessage(
                Reason.BAD_VECTOR, f"{check.where} has {count} items, allowed are {allowed}"
            )
        return start, count


def pass_over(_walk: Walk, _at: int, _check: Check) -> object:
    """A retired field: whatever it holds is not looked at."""
    return None


def read_plain(walk: Walk, at: int, check: Check) -> object:
    """A scalar of which every bit pattern is a value, or an opaque struct as bytes."""
    return check.unpack(walk.data, at)[0]


def read_bounded(walk: Walk, at: int, check: Check) -> object:
    """A scalar between its bounds."""
    value = check.unpack(walk.data, at)[0]
    if check.low <= value <= check.high:  # false for NaN
        return value
    raise MalformedMessage(
        Reason.BAD_VALUE, f"{check.where} is {value}, allowed are {check.low} to {check.high}"
    )


def read_bool(walk: Walk, at: int, check: Check) -> object:
    """A truth value: 0 or 1."""
    return bool(read_bounded(walk, at, check))


def read_enum(walk: Walk, at: int, check: Check) -> object:
    """A member of an enum of one byte."""
    value = _U8(walk.data, at)[0]
    member = check.members.get(value)
    if member is None:
        raise MalformedMessage(
            Reason.BAD_ENUM, f"{check.where} is {value}, allowed are {sorted(check.members)}"
        )
    return member


def read_struct(walk: Walk, at: int, check: Check) -> object:
    """A struct of finite floats."""
    return check.make(_finite(check.unpack(walk.data, at), check))


def read_structs(walk: Walk, at: int, check: Check) -> object:
    """A vector of structs of finite floats, as a tuple."""
    start, count = walk.vector(at, check)
    items = range(start, start + count * check.item_bytes, check.item_bytes)
    return tuple([check.make(_finite(check.unpack(walk.data, item), check)) for item in items])


def _finite(values: tuple[float, ...], check: Check) -> tuple[float, ...]:
    for value in values:
        if not -FLOAT_MAX <= value <= FLOAT_MAX:
            raise MalformedMessage(Reason.BAD_VALUE, f"{check.where} holds {value}")
    return values


def read_string(walk: Walk, at: int, check: Check) -> object:
    """A string: its length, its end mark, its UTF-8."""
    start = walk.follow(at, check.where) + 4
    count = _U32(walk.data, start - 4)[0]
    end = start + count
    if end >= walk.size or walk.data[end] != 0:
        raise MalformedMessage(Reason.BAD_STRING, f"{check.where} of {count} bytes has no end mark")
    if not count <= check.most:
        raise MalformedMessage(
            Reason.BAD_STRING, f"{check.where} has {count} bytes, allowed are {check.most}"
        )
    try:
        return str(walk.view[start:end], "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(Reason.BAD_STRING, f"{check.where} is not UTF-8: {error.reason}") from error


def read_numbers(walk: Walk, at: int, check: Check) -> object:
    """A vector of scalars as an array that views the message; no infinity, no NaN."""
    start, count = walk.vector(at, check)
    array: NDArray[generic] = np.frombuffer(walk.data, check.dtype, count, start)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise MalformedMessage(Reason.BAD_VALUE, f"{check.where} holds infinity or NaN")
    return array


def read_payload(walk: Walk, at: int, check: Check) -> object:
    """A vector of bytes under the checksum, as a view of the message."""
    start, count = walk.vector(at, check)
    payload = walk.view[start : start + count]
    walk.payloads.append(payload)
    return payload


def read_table(walk: Walk, at: int, check: Check) -> object:
    """A nested table."""
    return walk.table(walk.follow(at, check.where), walk.plans[check.table])


def read_tables(walk: Walk, at: int, check: Check) -> object:
    """A vector of tables, as a tuple."""
    start, count = walk.vector(at, check)
    plan = walk.plans[check.table]
    items = range(start, start + 4 * count, 4)
    return tuple([walk.table(walk.follow(item, check.where), plan) for item in items])
