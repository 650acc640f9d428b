"""Rules between fields of one table that its layout cannot say: sizes that must agree, the version. Core.

Each runs after its table was found sound, so it may read what the table's entries point to.
"""

import struct
from collections.abc import Callable
from math import prod

from schemas.errors import MalformedMessage, Reason
from schemas.messages import SCHEMA_VERSION, DType, Encoding
from schemas.walk import Walk

ITEM_BYTES: dict[int, int] = {
    DType.FLOAT32: 4,
    DType.FLOAT16: 2,
    DType.INT8: 1,
    DType.UINT8: 1,
    DType.INT32: 4,
    DType.INT64: 8,
}
PIXEL_BYTES: dict[int, int] = {Encoding.RGB8: 3, Encoding.GRAY8: 1}
PCM_BYTES = 2

_U8 = struct.Struct("<B").unpack_from
_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from


def _byte(walk: Walk, at: int, entry: int) -> int:
    return int(_U8(walk.data, at + entry)[0]) if entry else 0


def _word(walk: Walk, at: int, entry: int) -> int:
    return int(_U32(walk.data, at + entry)[0]) if entry else 0


def _count(walk: Walk, at: int, entry: int) -> int:
    return int(_U32(walk.data, at + entry + _word(walk, at, entry))[0])


def _header_rule(walk: Walk, at: int, entries: tuple[int, ...]) -> None:
    version = _U16(walk.data, at + entries[0])[0] if entries[0] else 0
    if version != SCHEMA_VERSION:
        raise MalformedMessage(
            Reason.WRONG_SCHEMA_VERSION, f"version {version}, this side reads {SCHEMA_VERSION}"
        )
    walk.checksum_at = at + entries[11] if entries[11] else 0


def _frame_rule(walk: Walk, at: int, entries: tuple[int, ...]) -> None:
    pixel_bytes = PIXEL_BYTES.get(_byte(walk, at, entries[3]))
    if pixel_bytes is None:
        return
    count = _count(walk, at, entries[6])
    wanted = pixel_bytes * _word(walk, at, entries[1]) * _word(walk, at, entries[2])
    if count != wanted:
        raise MalformedMessage(Reason.BAD_VALUE, f"Frame.payload has {count} bytes, its size needs {wanted}")


def _audio_rule(walk: Walk, at: int, entries: tuple[int, ...]) -> None:
    count, step = _count(walk, at, entries[4]), PCM_BYTES * _byte(walk, at, entries[2])
    if count % step:
        raise MalformedMessage(Reason.BAD_VALUE, f"Audio.payload of {count} bytes, samples need {step} each")


def _tensor_rule(walk: Walk, at: int, entries: tuple[int, ...]) -> None:
    shape: tuple[int, ...] = ()
    if entries[2]:
        start = at + entries[2] + _word(walk, at, entries[2])
        shape = struct.unpack_from(f"<{_U32(walk.data, start)[0]}I", walk.data, start + 4)
    count, wanted = _count(walk, at, entries[5]), prod(shape) * ITEM_BYTES[_byte(walk, at, entries[1])]
    if count != wanted:
        raise MalformedMessage(
            Reason.BAD_VALUE, f"Tensor.data has {count} bytes, shape {shape} needs {wanted}"
        )


RULES: dict[str, Callable[[Walk, int, tuple[int, ...]], None]] = {
    "Header": _header_rule,
    "Frame": _frame_rule,
    "Audio": _audio_rule,
    "Tensor": _tensor_rule,
}
