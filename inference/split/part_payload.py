"""Pure core: the tensors that cross into or out of a part, as one payload without names, types and shapes, and back.

Both sides know from the model's file which tensors cross, so their values suffice. RAW: subject by subject, tensor by
tensor, little endian in C order, nothing between. PACKED: of each tensor a head of method and body length, then all
bodies, each as ``packing`` writes it. The bytes may come from anyone: every size is checked against the tensors that
are expected before anything is unpacked. What must stay here: the form of a payload.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.errors import PackingError
from inference.runtimes.base import Array, TensorSpec
from inference.split.packing import Method, body_of, values_of
from schemas.messages import PartCoding, Payload

_HEAD = struct.Struct("<BI")  # method, bytes of the body


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartPayload:
    """What travels of a frame: the values of as many ``subjects`` (hands, say), in one ``coding``."""

    subjects: int
    coding: PartCoding
    payload: Payload


NOTHING = PartPayload(subjects=0, coding=PartCoding.RAW, payload=b"")


def pack_part(
    rows: Sequence[Sequence[Array]], /, *, coding: PartCoding = PartCoding.RAW, channels_last: bool = True
) -> PartPayload:
    """Write the tensors of each subject in order. ``channels_last``: those of rank 4 are NHWC.

    Raises:
        RuntimeMissingError: packing needs zstandard.
    """
    arrays = [array for row in rows for array in row]
    packed = coding is PartCoding.PACKED
    bodies = [body_of(array, packed=packed, channels_last=channels_last) for array in arrays]
    heads = [_HEAD.pack(method, len(body)) for method, body in bodies] if packed else []
    payload = b"".join([*heads, *(body for _, body in bodies)])
    return PartPayload(subjects=len(rows), coding=coding, payload=payload)


def unpack_part(part: PartPayload, tensors: Sequence[TensorSpec], /) -> tuple[tuple[Array, ...], ...]:
    """The tensors of each subject, each of the type and shape that ``tensors`` says.

    Raw values are views of the payload where their place allows it; keep it unchanged.

    Raises:
        PackingError: the bytes are not these tensors; says how many were expected.
        RuntimeMissingError: unpacking needs zstandard.
    """
    view = memoryview(part.payload).cast("B")
    expected = [spec for _ in range(part.subjects) for spec in tensors]
    read = _RAW_OR_PACKED[part.coding]
    arrays = iter(read(view, expected))
    return tuple(tuple(next(arrays) for _ in tensors) for _ in range(part.subjects))


def spec_bytes(spec: TensorSpec) -> int:
    """Bytes of a tensor's values."""
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _raw(view: memoryview, expected: Sequence[TensorSpec]) -> list[Array]:
    sizes = [spec_bytes(spec) for spec in expected]
    if sum(sizes) != len(view):
        raise PackingError(f"{len(view)} B of values came, expected are {sum(sizes)} B: {_listed(expected)}")
    arrays, position = [], 0
    for spec, size in zip(expected, sizes, strict=True):
        arrays.append(values_of(view[position : position + size], Method.RAW, spec))
        position += size
    return arrays


def _packed(view: memoryview, expected: Sequence[TensorSpec]) -> list[Array]:
    position = _HEAD.size * len(expected)
    if len(view) < position:
        raise PackingError(f"{len(view)} B came, expected are {len(expected)} packed: {_listed(expected)}")
    heads = list(_HEAD.iter_unpack(view[:position]))
    if position + sum(size for _, size in heads) != len(view):
        raise PackingError(
            f"the bodies do not fill the {len(view)} B that came: expected are {len(expected)} packed, "
            f"{_listed(expected)}"
        )
    arrays = []
    for (number, size), spec in zip(heads, expected, strict=True):
        arrays.append(values_of(view[position : position + size], _method(number, spec), spec))
        position += size
    return arrays


def _method(number: int, spec: TensorSpec) -> Method:
    if number >= len(Method):
        raise PackingError(f"{spec.name} came by method {number}, expected is one below {len(Method)}")
    return Method(number)


_RAW_OR_PACKED = {PartCoding.RAW: _raw, PartCoding.PACKED: _packed}


def _listed(expected: Sequence[TensorSpec], most: int = 4) -> str:
    shown = [f"{spec.name[:64]} {spec.dtype}{list(spec.shape)}" for spec in expected[:most]]
    return ", ".join(shown) + (" …" if len(expected) > most else "")
