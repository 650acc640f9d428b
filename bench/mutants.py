"""Broken messages for the fuzzer: mutants of good frames and results, drawn from a seeded generator. Core.

A quarter is structure-aware: it finds the offsets, vtables, lengths, enums and floats of a good message by
its layout and breaks just one of them. Half have their checksum made right again, because a wrong checksum
would hide every fault behind it from anything but the walk.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from schemas.checksum import payload_crc32
from schemas.layout import ENUMS, LAYOUTS, ROOTS, SCALARS, STRUCTS

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")


KINDS = ("offset", "vtable", "length", "enum", "float", "version", "shape")


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
    payloads: list[tuple[int, int]] = field(default_factory=list)
    checksum_at: int = 0


def _word(data: bytes, at: int) -> int:
    return int(_U32.unpack_from(data, at)[0])


def _vector(anatomy: Anatomy, data: bytes, start: int, item: str, *, checksummed: bool) -> None:
    count = _word(data, start)
    anatomy.sites.append(Site("length", start, 4))
    if checksummed:
        anatomy.payloads.append((start + 4, start + 4 + count))
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
            anatomy.checksum_at = place
        elif spec.name == "schema_version":
            anatomy.sites.append(Site("version", place, 2))
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
                if spec.name == "shape":  # as a whole: one size alone cannot make the product fit again
                    anatomy.sites.append(Site("shape", target + 4, 4 * _word(data, target)))
                _vector(anatomy, data, target, spec.type.strip("[]"), checksummed=spec.checksummed)


def anatomy_of(data: bytes) -> Anatomy:
    """Every site of a good message."""
    anatomy = Anatomy(sites=[Site("offset", 0, 4)])
    _table(anatomy, data, _word(data, 0), ROOTS[data[4:8]][0])
    return anatomy


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One broken message. ``resealed`` says that its checksum was made right again."""

    family: str
    data: bytes
    resealed: bool


class Mutator:
    """Draws mutants of the given good messages. The same seed draws the same mutants."""

    def __init__(self, messages: list[bytes], *, seed: int) -> None:
        self._rng = Random(seed)
        self._messages = [(message, anatomy_of(message)) for message in messages]

    def mutants(self, count: int) -> Iterator[Mutant]:
        """``count`` mutants: a quarter structure-aware, half of all resealed."""
        blind = (self._flipped, self._cut, self._grown, self._spliced, self._zeroed)
        for number in range(count):
            message, anatomy = self._rng.choice(self._messages)
            break_it = self._structural if number % 4 == 0 else self._rng.choice(blind)
            data = bytearray(message)
            family = break_it(data, anatomy)
            resealed = number // 4 % 2 == 0 and self._reseal(data, anatomy)
            yield Mutant(family=family, data=bytes(data), resealed=resealed)

    def _structural(self, data: bytearray, anatomy: Anatomy) -> str:
        kind = self._rng.choice(sorted({site.kind for site in anatomy.sites}))
        site = self._rng.choice([site for site in anatomy.sites if site.kind == kind])
        if kind == "shape":
            for at in range(site.at, site.at + site.size, 4):
                _U32.pack_into(data, at, self._rng.choice((0, 1, 2**16, 2**32 - 1)))
            return kind
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
        """Make the checksum right again where the message still has a place for it."""
        if not anatomy.checksum_at or anatomy.checksum_at + 4 > len(data):
            return False
        crc = payload_crc32(memoryview(data)[start:end] for start, end in anatomy.payloads)
        _U32.pack_into(data, anatomy.checksum_at, crc)
        return True
