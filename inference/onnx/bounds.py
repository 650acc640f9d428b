"""Core: refuse .onnx files that would grow far beyond their size when they are parsed.

Two bytes are enough for an empty operator or attribute that takes a hundred in memory. Every message, text and
number that is stored on its own is counted before anything is parsed; weights are skipped in one step. Refuses
more of them than any model has, and bytes that are no protobuf. What must stay here: the only walk over the bytes
of an .onnx file that trusts nothing.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import onnx

from inference.errors import GraphError

MAX_ENTRIES = 2_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10
_MORE, _LOW = 0x80, 0x7F


def check_entries(content: bytes, /) -> None:
    """Walk over the messages of a model without parsing it.

    Raises:
        GraphError: no protobuf, or more entries than any model has.
    """
    waiting = [(0, len(content), _nested(onnx.ModelProto.DESCRIPTOR))]
    count = 0
    while waiting:
        place, end, nested = waiting.pop()
        while place < end:
            count += 1
            if count > MAX_ENTRIES:
                msg = f"the model has more than {MAX_ENTRIES} operators, attributes and names: use a smaller one"
                raise GraphError(msg)
            tag, place = _varint(content, place)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                _, place = _varint(content, place)
                continue
            size = _FIXED_BYTES.get(kind, 0)
            if kind == _BYTES:
                size, place = _varint(content, place)
                if number in nested:
                    waiting.append((place, place + size, _nested(nested[number])))
            elif not size:
                _refuse(place)
            place += size
        if place != end:
            _refuse(place)


@cache
def _nested(descriptor: Any) -> Mapping[int, Any]:
    """Fields of a message that are messages themselves, by number."""
    return {field.number: field.message_type for field in descriptor.fields if field.message_type is not None}


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number and the place behind it."""
    value = 0
    for shift, byte in enumerate(content[place : place + _MAX_VARINT_BYTES]):
        value |= (byte & _LOW) << (7 * shift)
        if byte < _MORE:
            return value, place + shift + 1
    return _refuse(place)


def _refuse(place: int) -> tuple[int, int]:
    msg = f"this is not a sound .onnx file: no field can be read at byte {place}; export it again"
    raise GraphError(msg)
