"""Broken messages for the fuzzer: mutants of good frames and results, drawn from a seeded generator. Core.

A quarter is structure-aware: it finds the offsets, vtables, lengths, enums and floats of a good message by
its layout and breaks just one of them. Half have their checksum made right again, because a wrong checksum
would hide every fault behind it from anything but the walk. A mutation that leaves no place for the checksum
is thrown away there and another one is drawn; each mutant says how many were.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from schemas.checksum import payload_crc32
from schemas.layout import ENUMS, LAYOUTS, ROOTS, SCALARS, STRUCTS

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")


KINDS = ("offset", "vtable", "length", "enum", "float", "version", "subjects")


@dataclass(frozen=True, slots=True)
class Site:
    """One place in a good message that says how the rest is to be read."""

    kind: str  # one of KINDS
    at: int
    size: int


@dataclass(slots=True)
class Anatomy:
    """Where a good message keeps what."""

    sites: list[Site] = field(default_factory=list)
    payloads: list[int] = field(default_factory=list)  # where each one's count of bytes stands
    checksum_at: int = 0
    checksum_table: int = 0
    checksum_slot: int = 0  # in the vtable of its table


def _word(data: bytes | bytearray, at: int) -> int:
    return int(_U32.unpack_from(data, at)[0])


def _vector(anatomy: Anatomy, data: bytes, start: int, item: str, *, checksummed: bool) -> None:
    count = _word(data, start)
    anatomy.sites.append(Site("length", start, 4))
    if checksummed:
        anatomy.payloads.append(start)
    if item in LAYOUTS:
        for at in range(start + 4, start + 4 + 4 * count, 4):
            anatomy.sites.append(Site("offset", at, 4))
            _table(anatomy, data, at + _word(data, at), item)
    elif item in ("float", "RoiBox"):
        size = {**SCALARS, **STRUCTS}[item][1]
        anatomy.sites += [Site("float", at, 4) for at in range(start + 4, start + 4 + size * count, 4)]


def _table(anatomy: Anatomy, data: bytes, at: int, name: str) -> None:
    vtable = at - int(struct.unpack_from("<i", data, at)[0])
    entries = (_U16.unpack_from(data, vtable)[0] - 4) // 2
    anatomy.sites += [Site("vtable", at, 4), Site("vtable", vtable, 2), Site("vtable", vtable + 2, 2)]
    for key, spec in enumerate(LAYOUTS[name].fields[:entries]):
        anatomy.sites.append(Site("vtable", vtable + 4 + 2 * key, 2))
        entry = int(_U16.unpack_from(data, vtable + 4 + 2 * key)[0])
        place = at + entry
        if not entry:
            continue
        if spec.name == "payload_crc32":
            anatomy.checksum_at, anatomy.checksum_table, anatomy.checksum_slot = place, at, 4 + 2 * key
        elif spec.name == "schema_version":
            anatomy.sites.append(Site("version", place, 2))
        elif spec.name.endswith("subjects"):
            anatomy.sites.append(Site("subjects", place, 1))
        elif spec.type in ENUMS:
            anatomy.sites.append(Site("enum", place, 1))
        elif spec.type == "float":
            anatomy.sites.append(Site("float", place, 4))
        elif spec.type not in SCALARS and spec.type not in STRUCTS:
            anatomy.sites.append(Site("offset", place, 4))
            target = place + _word(data, place)
            if spec.type in LAYOUTS:
                _table(anatomy, data, target, spec.type)
            else:
                _vector(anatomy, data, target, spec.type.strip("[]"), checksummed=spec.checksummed)


def anatomy_of(data: bytes) -> Anatomy:
    """Every site of a good message."""
    anatomy = Anatomy(sites=[Site("offset", 0, 4)])
    _table(anatomy, data, _word(data, 0), ROOTS[data[4:8]][0])
    return anatomy


def _leads_to_checksum(data: bytearray, anatomy: Anatomy) -> bool:
    """Whether a reader that comes to the checksum's table still finds it at its place."""
    table, slot = anatomy.checksum_table, anatomy.checksum_slot
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if not 0 <= vtable <= len(data) - slot - 2:
        return False
    size, entry = _U16.unpack_from(data, vtable)[0], _U16.unpack_from(data, vtable + slot)[0]
    return bool(size >= slot + 2 and table + entry == anatomy.checksum_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One broken message. ``resealed``: its checksum was made right again, after ``redrawn`` that had no place for it."""

    family: str
    data: bytes
    resealed: bool
    redrawn: int = 0


Breaker = Callable[[bytearray, Anatomy], str]  # breaks the bytes in place; returns the family


class Mutator:
    """Draws mutants of the given good messages, each of which has a checksum. The same seed draws the same."""

    def __init__(self, messages: list[bytes], *, seed: int) -> None:
        self._rng = Random(seed)
        self._messages = [(message, anatomy_of(message)) for message in messages]
        if not all(anatomy.checksum_at for _, anatomy in self._messages):
            raise ValueError("a message without a checksum cannot be resealed: leave it out")

    def mutants(self, count: int) -> Iterator[Mutant]:
        """``count`` mutants: a quarter structure-aware, 51 in 100 resealed.

        The one in 100 beyond half is for mutants whose reader takes other bytes for the payload than we do.
        """
        blind: tuple[Breaker, ...] = (self._flipped, self._cut, self._grown, self._spliced, self._zeroed)
        for number in range(count):
            message, anatomy = self._rng.choice(self._messages)
            ways = (self._structural,) if number % 4 == 0 else blind
            four = number // 4
            reseal = four % 2 == 0 or four % 100 == 1
            family, data = self._broken(message, anatomy, ways)
            redrawn = 0
            while reseal and not self._reseal(data, anatomy):
                family, data = self._broken(message, anatomy, ways)
                redrawn += 1
            yield Mutant(family=family, data=bytes(data), resealed=reseal, redrawn=redrawn)

    def _broken(self, message: bytes, anatomy: Anatomy, ways: tuple[Breaker, ...]) -> tuple[str, bytearray]:
        data = bytearray(message)
        return self._rng.choice(ways)(data, anatomy), data

    def _structural(self, data: bytearray, anatomy: Anatomy) -> str:
        kind = self._rng.choice(sorted({site.kind for site in anatomy.sites}))
        site = self._rng.choice([site for site in anatomy.sites if site.kind == kind])
        highest = 256**site.size - 1
        old = int.from_bytes(data[site.at : site.at + site.size], "little")
        near = (old + self._rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))) & highest
        nan = 0x7FC00000 & highest
        value = self._rng.choice(
            (0, 1, 4, near, near, highest, highest >> 1, nan, self._rng.randint(0, highest))
        )
        data[site.at : site.at + site.size] = value.to_bytes(site.size, "little")
        return site.kind

    def _flipped(self, data: bytearray, _anatomy: Anatomy) -> str:
        for _ in range(self._rng.randint(1, 8)):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return "flipped"

    def _cut(self, data: bytearray, _anatomy: Anatomy) -> str:
        # short ends matter as much as long ones
        del data[self._rng.choice((self._rng.randrange(24), self._rng.randrange(len(data)))) :]
        return "cut"

    def _grown(self, data: bytearray, _anatomy: Anatomy) -> str:
        data += bytes(self._rng.choice((1, 64, 8192)))
        return "grown"

    def _spliced(self, data: bytearray, _anatomy: Anatomy) -> str:
        other, _ = self._rng.choice(self._messages)
        at, start = self._rng.randrange(len(data)), self._rng.randrange(len(other))
        piece = other[start : start + self._rng.randint(1, 64)]
        data[at : at + len(piece)] = piece
        return "spliced"

    def _zeroed(self, data: bytearray, _anatomy: Anatomy) -> str:
        at = self._rng.randrange(len(data))
        end = min(len(data), at + self._rng.randint(1, 32))
        data[at:end] = bytes(end - at)
        return "zeroed"

    @staticmethod
    def _reseal(data: bytearray, anatomy: Anatomy) -> bool:
        """Make the checksum right again where its table still leads to it and no payload's count was cut off."""
        ends = max(anatomy.checksum_at, *anatomy.payloads, 0) + 4
        if ends > len(data) or not _leads_to_checksum(data, anatomy):
            return False
        # over as many bytes as the mutant now says: a broken count is a fault to be found behind the checksum
        crc = payload_crc32(memoryview(data)[at + 4 : at + 4 + _word(data, at)] for at in anatomy.payloads)
        _U32.pack_into(data, anatomy.checksum_at, crc)
        return True
