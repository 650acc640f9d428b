"""Broken model files, each drawn from its own seeded generator: the same number gives the same file. Core.

Blind mutants change bytes anywhere; others change one to three of the numbers that say how the rest is to be read,
or take the file apart, change what it means and write a well-formed file again.
"""

import struct
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as schema

from bench.onnx_meaning import ONNX_CHANGES
from bench.onnx_sites import onnx_sites
from bench.tflite_meaning import TFLITE_CHANGES
from bench.tflite_sites import Site, tflite_sites

_WHOLE_SHARE = 0.03
_FAMILY_WEIGHTS = {"bytes": 30, "fields": 45, "meaning": 25}
_EXTREMES = (
    0,
    1,
    2,
    127,
    128,
    255,
    1 << 15,
    1 << 16,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    (1 << 63) - 1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMutant:
    """One broken file; ``family`` says how it was broken."""

    number: int
    seed: str
    family: str
    data: bytes

    @property
    def suffix(self) -> str:
        """That of the good file."""
        return self.seed[self.seed.rindex(".") :]


class ModelMutator:
    """Draws mutants of good files by name. ``large`` ones are drawn seldom: each costs as much as a hundred others."""

    def __init__(self, good: Mapping[str, bytes], *, large: Mapping[str, bytes], seed: int) -> None:
        self._good, self._large, self._seed = dict(good), dict(large), seed
        self._sites: dict[str, dict[str, list[Site]]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the good files."""
        return (*self._good, *self._large)

    def mutant(self, number: int, /) -> ModelMutant:
        """The mutant of this number."""
        rng = Random(f"{self._seed}:{number}")
        from_large = bool(self._large) and rng.random() < _WHOLE_SHARE
        pool = self._large if from_large else self._good
        name = rng.choice(sorted(pool))
        data = bytearray(pool[name])
        family = rng.choices(list(_FAMILY_WEIGHTS), list(_FAMILY_WEIGHTS.values()))[0]
        if family == "meaning" and not from_large:
            word, changed = self._meaning(rng, name)
            return ModelMutant(number=number, seed=name, family=f"meaning: {word}", data=changed)
        if family == "bytes":
            word = rng.choice(list(_BLIND))
            _BLIND[word](rng, data)
            return ModelMutant(number=number, seed=name, family=f"bytes: {word}", data=bytes(data))
        word = self._fields(rng, name, data)
        return ModelMutant(number=number, seed=name, family=f"field: {word}", data=bytes(data))

    def _fields(self, rng: Random, name: str, data: bytearray) -> str:
        sites = self._sites_of(name, bytes(data))
        kind = rng.choice(sorted(sites))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            site = rng.choice(sites[kind])
            write = _write_varint if name.endswith(".onnx") and kind != "name" else _write_fixed
            write(rng, data, site)
        return kind

    def _sites_of(self, name: str, data: bytes) -> dict[str, list[Site]]:
        if name not in self._sites:
            found: dict[str, list[Site]] = defaultdict(list)
            for site in onnx_sites(data) if name.endswith(".onnx") else tflite_sites(data):
                found[site.kind].append(site)
            self._sites[name] = dict(found)
        return self._sites[name]

    def _meaning(self, rng: Random, name: str) -> tuple[str, bytes]:
        changes: Mapping[str, Callable[[Random, Any], None]]
        if name.endswith(".onnx"):
            changes, document = ONNX_CHANGES, onnx.load_model_from_string(self._good[name])
        else:
            changes, document = TFLITE_CHANGES, schema.ModelT.InitFromPackedBuf(self._good[name])
        word = rng.choice(list(changes))
        changes[word](rng, document)
        return word, _written(document)


def _written(document: Any) -> bytes:
    if isinstance(document, onnx.ModelProto):
        return bytes(document.SerializeToString())
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(document.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _number(rng: Random, old: int, bits: int) -> int:
    near = old + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))
    value = rng.choice(
        (near, near, rng.choice(_EXTREMES), rng.choice(_EXTREMES), rng.getrandbits(bits), old * 2)
    )
    return value & ((1 << bits) - 1)


def _write_fixed(rng: Random, data: bytearray, site: Site) -> None:
    old = int.from_bytes(data[site.at : site.at + site.size], "little")
    data[site.at : site.at + site.size] = _number(rng, old, 8 * site.size).to_bytes(site.size, "little")


def _write_varint(rng: Random, data: bytearray, site: Site) -> None:
    old = sum((data[site.at + n] & 0x7F) << (7 * n) for n in range(site.size))
    new = _number(rng, old, 7 * site.size)
    for number in range(site.size):
        more = 0x80 if number + 1 < site.size else 0
        data[site.at + number] = (new >> (7 * number)) & 0x7F | more


def _flip(rng: Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _flip_in_front(rng: Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(len(data), 256))] = rng.randrange(256)


def _cut(rng: Random, data: bytearray) -> None:
    del data[rng.choice((rng.randrange(64), rng.randrange(len(data)), len(data) - 1 - rng.randrange(16))) :]


def _insert(rng: Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 4, 16, 1000)))


def _zero(rng: Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    end = min(len(data), at + rng.choice((4, 32, 400)))
    data[at:end] = bytes(end - at)


def _move(rng: Random, data: bytearray) -> None:
    size = rng.choice((4, 16, 64))
    at, source = (rng.randrange(max(len(data) - size, 1)) for _ in range(2))
    data[at : at + size] = data[source : source + size]


def _ones(rng: Random, data: bytearray) -> None:
    at = 4 * rng.randrange(max(len(data) // 4, 1))
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)[: len(data) - at]


_BLIND: dict[str, Callable[[Random, bytearray], None]] = {
    "flipped": _flip,
    "flipped in front": _flip_in_front,
    "cut short": _cut,
    "inserted": _insert,
    "zeroed": _zero,
    "moved": _move,
    "ones": _ones,
}
