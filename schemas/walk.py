"""The walk through one message's bytes, field by field as its plan says. Core.

Knows how FlatBuffers lay out tables, vectors and strings, and nothing about our messages: those are rows of
the plans. Refuses the first fault with ``MalformedMessage``; reads no byte before it was found in bounds.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from schemas.errors import MalformedMessage, Reason
from schemas.layout import FLOAT_MAX

Buffer = bytes | bytearray | memoryview

_U8 = struct.Struct("<B").unpack_from
_U16_PAIR = struct.Struct("<HH").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from


@dataclass(frozen=True, slots=True)
class Check:
    """One field, compiled: what the walk does at its place."""

    where: str
    inline_bytes: int
    absent: Reason | None  # why a message without this field is refused; None = it may be absent
    run: "Callable[[Walk, int, Check], None] | None"  # None = every bit pattern is a value
    unpack: Callable[[Buffer, int], tuple[float, ...]] = _U32
    low: float = 0
    high: float = 0
    members: frozenset[int] = frozenset()
    least: int = 0
    most: int = 0
    item_bytes: int = 1
    floats: bool = False
    table: str = ""
    checksummed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One table, compiled: ``unpack[n]`` reads ``n`` entries of its vtable."""

    name: str
    checks: tuple[Check, ...]
    unpack: tuple[Callable[[Buffer, int], tuple[int, ...]], ...]
    rule: "Callable[[Walk, int, tuple[int, ...]], None] | None"


class Walk:
    """One message under check. Methods take absolute positions and raise at the first fault."""

    __slots__ = ("checksum_at", "data", "plans", "size", "spans")

    def __init__(self, data: Buffer, plans: Mapping[str, Plan]) -> None:
        self.data = data
        self.plans = plans
        self.size = len(data)
        self.spans: list[tuple[int, int]] = []  # of checksummed vectors, (start, end)
        self.checksum_at = 0  # position of header.payload_crc32; 0 = absent, means 0

    def table(self, at: int, plan: Plan) -> None:
        """The table at ``at``: its vtable, then every known field."""
        table_bytes, entries = self.entries(at, plan)
        for check, entry in zip(plan.checks, entries, strict=True):
            if not entry:
                if check.absent:
                    raise MalformedMessage(check.absent, f"{check.where} is absent")
            elif entry < 4 or entry + check.inline_bytes > table_bytes:
                raise MalformedMessage(Reason.BAD_VTABLE, f"{check.where} lies outside of its table")
            elif check.run:
                check.run(self, at + entry, check)
        if plan.rule:
            plan.rule(self, at, entries)

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


def check_scalar(walk: Walk, at: int, check: Check) -> None:
    """A bounded scalar."""
    value = check.unpack(walk.data, at)[0]
    if not check.low <= value <= check.high:  # also false for NaN
        raise MalformedMessage(
            Reason.BAD_VALUE, f"{check.where} is {value}, allowed are {check.low} to {check.high}"
        )


def check_enum(walk: Walk, at: int, check: Check) -> None:
    """An enum of one byte."""
    value = _U8(walk.data, at)[0]
    if value not in check.members:
        raise MalformedMessage(
            Reason.BAD_ENUM, f"{check.where} is {value}, allowed are {sorted(check.members)}"
        )


def check_finite_struct(walk: Walk, at: int, check: Check) -> None:
    """A struct of floats, none of them infinite or NaN."""
    for value in check.unpack(walk.data, at):
        if not -FLOAT_MAX <= value <= FLOAT_MAX:
            raise MalformedMessage(Reason.BAD_VALUE, f"{check.where} holds {value}")


def check_string(walk: Walk, at: int, check: Check) -> None:
    """A string: its length, its end mark, its UTF-8."""
    start = walk.follow(at, check.where) + 4
    count = _U32(walk.data, start - 4)[0]
    end = start + count
    if end >= walk.size or walk.data[end] != 0:
        raise MalformedMessage(Reason.BAD_STRING, f"{check.where} of {count} bytes has no end mark")
    if count > check.most:
        raise MalformedMessage(
            Reason.BAD_STRING, f"{check.where} has {count} bytes, allowed are {check.most}"
        )
    try:
        str(walk.data[start:end], "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(Reason.BAD_STRING, f"{check.where} is not UTF-8: {error.reason}") from error


def check_vector(walk: Walk, at: int, check: Check) -> None:
    """A vector of scalars or structs."""
    start, count = walk.vector(at, check)
    if check.checksummed:
        walk.spans.append((start, start + count))
    if check.floats and count:
        floats = count * check.item_bytes // 4
        if not np.isfinite(np.frombuffer(walk.data, "<f4", floats, start)).all():
            raise MalformedMessage(Reason.BAD_VALUE, f"{check.where} holds infinity or NaN")


def check_table(walk: Walk, at: int, check: Check) -> None:
    """A nested table."""
    walk.table(walk.follow(at, check.where), walk.plans[check.table])


def check_tables(walk: Walk, at: int, check: Check) -> None:
    """A vector of tables."""
    start, count = walk.vector(at, check)
    plan = walk.plans[check.table]
    for item in range(start, start + 4 * count, 4):
        walk.table(walk.follow(item, check.where), plan)
