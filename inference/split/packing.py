"""Pure core: tensors at a cut as bytes and back, exactly; raw or packed.

Packed = channels first, a plane for each byte of an item, differences from byte to byte, zstd level 1: images
of activations become runs of small numbers. A tensor that gains nothing stays raw. The bytes describe
themselves and may come from anyone: sizes are checked before anything is unpacked or allocated. What must stay
here: the format, and the rule when packing is worth its time.

    magic "HWT1" · u8 number of tensors · of each tensor: u8 method, u8 dtype, u8 rank, u32 sizes,
    u32 bytes of its body · the bodies, all little endian
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import PackingError, RuntimeMissingError
from inference.runtimes.base import Array, TensorSpec

Bytes = npt.NDArray[np.uint8]

MAGIC = b"HWT1"
MAX_TENSORS = 64
MAX_RANK = 8
MAX_TOTAL_BYTES = 64 << 20  # unpacked, all tensors together
_ZSTD_LEVEL = 1
_MAX_WINDOW_BYTES = 8 << 20
_HEAD, _ROW, _SIZE = struct.Struct("<4sB"), struct.Struct("<BBB"), struct.Struct("<I")
_DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "int16", "uint16")  # the wire's numbers


class Method(IntEnum):
    """How a tensor's body is written."""

    RAW = 0
    PACKED = 1
    PACKED_CHANNELS_FIRST = 2  # an NHWC tensor, turned to NCHW before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One tensor's head, checked."""

    method: Method
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    body_bytes: int

    @property
    def payload_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def pack(arrays: Sequence[Array], /, *, packed: bool, channels_last: bool) -> bytes:
    """Write arrays in order. ``channels_last``: tensors of rank 4 are NHWC, as those of .tflite models are.

    Raises:
        PackingError: too many or too large tensors, or a dtype that does not travel.
        RuntimeMissingError: packing needs zstandard.
    """
    if not 0 < len(arrays) <= MAX_TENSORS:
        raise PackingError(f"{len(arrays)} tensors: send 1 to {MAX_TENSORS}, cut the model elsewhere")
    if sum(array.nbytes for array in arrays) > MAX_TOTAL_BYTES:
        raise PackingError(f"the tensors exceed {MAX_TOTAL_BYTES} B: cut the model where less crosses")
    head, bodies = [_HEAD.pack(MAGIC, len(arrays))], []
    for array in arrays:
        if array.dtype.name not in _DTYPES or array.ndim > MAX_RANK or _is_too_large(array.shape):
            raise PackingError(
                f"a {array.dtype.name} tensor of shape {array.shape} does not travel: cut the model elsewhere"
            )
        method, body = body_of(array, packed=packed, channels_last=channels_last)
        head.append(_ROW.pack(method, _DTYPES.index(array.dtype.name), array.ndim))
        head.append(struct.pack(f"<{array.ndim + 1}I", *array.shape, len(body)))
        bodies.append(body)
    return b"".join([*head, *bodies])


def unpack(content: bytes | memoryview, /, *, max_bytes: int = MAX_TOTAL_BYTES) -> tuple[Array, ...]:
    """Read arrays back, bit for bit. ``max_bytes`` bounds what they may hold together, unpacked.

    Raw arrays are views of ``content``; keep it unchanged.

    Raises:
        PackingError: the bytes break the format or its bounds; nothing else is raised for any bytes.
        RuntimeMissingError: unpacking needs zstandard.
    """
    view = memoryview(content)
    rows, position = _rows(view)
    if sum(row.payload_bytes for row in rows) > max_bytes:
        raise PackingError(f"the tensors would hold more than {max_bytes} B: refused")
    if position + sum(row.body_bytes for row in rows) != len(view):
        raise PackingError("the bodies do not fill the bytes that came: cut off, or something follows")
    arrays = []
    for row in rows:
        arrays.append(_array(row, view[position : position + row.body_bytes]))
        position += row.body_bytes
    return tuple(arrays)


def is_worth_packing(
    *, raw_bytes: int, packed_bytes: int, encode_ns: float, decode_ns: float, bandwidth_bps: float
) -> bool:
    """Whether the time that packing takes is less than the time that its spared bytes would be under way."""
    return encode_ns + decode_ns < (raw_bytes - packed_bytes) * 8e9 / bandwidth_bps


def break_even_bps(*, raw_bytes: int, packed_bytes: int, encode_ns: float, decode_ns: float) -> float:
    """The bandwidth below which packing is worth it; 0 where it never is."""
    return max(0, raw_bytes - packed_bytes) * 8e9 / max(encode_ns + decode_ns, 1.0)


def body_of(array: Array, /, *, packed: bool, channels_last: bool) -> tuple[Method, bytes]:
    """One tensor's bytes, and how they are written: raw too where packing gains nothing.

    Raises:
        RuntimeMissingError: packing needs zstandard.
    """
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    if not packed or not array.size:
        return Method.RAW, plain.tobytes()
    method, values = Method.PACKED, plain
    if channels_last and array.ndim == 4:
        method, values = Method.PACKED_CHANNELS_FIRST, np.ascontiguousarray(plain.transpose(0, 3, 1, 2))
    planes = np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8).T).reshape(-1)
    steps = planes.copy()
    np.subtract(planes[1:], planes[:-1], out=steps[1:])
    body: bytes = _zstandard().ZstdCompressor(level=_ZSTD_LEVEL).compress(steps)
    return (method, body) if len(body) < array.nbytes else (Method.RAW, plain.tobytes())


def values_of(body: memoryview, method: Method, spec: TensorSpec, /) -> Array:
    """One tensor back from its bytes, of the spec's type and shape; raw ones are views where aligned, else copies.

    Raises:
        PackingError: the bytes are not this tensor; nothing is unpacked that is larger than it.
        RuntimeMissingError: unpacking needs zstandard.
    """
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    row = _Row(method=method, dtype=dtype, shape=tuple(spec.shape), body_bytes=len(body))
    _check_row(row, name=spec.name)
    return np.require(_array(row, body), requirements="A")


def _array(row: _Row, body: memoryview) -> Array:
    if row.method is Method.RAW:
        return np.frombuffer(body, row.dtype).reshape(row.shape)
    steps = np.frombuffer(_inflated(body, row.payload_bytes), np.uint8)
    planes = np.add.accumulate(steps, dtype=np.uint8).reshape(row.dtype.itemsize, -1)
    values = np.ascontiguousarray(planes.T).reshape(-1).view(row.dtype)
    if row.method is Method.PACKED:
        return values.reshape(row.shape)
    batch, height, width, channels = row.shape
    return np.ascontiguousarray(values.reshape(batch, channels, height, width).transpose(0, 2, 3, 1))


def _inflated(body: memoryview, payload_bytes: int) -> bytes:
    """Unpack one zstd frame whose own size must be the tensor's, so that a small body cannot grow large."""
    zstandard = _zstandard()
    try:
        frame = zstandard.get_frame_parameters(body)
        if frame.content_size != payload_bytes or frame.dict_id:
            raise PackingError(f"a packed body does not hold the {payload_bytes} B of its tensor")
        reader = zstandard.ZstdDecompressor(max_window_size=max(_MAX_WINDOW_BYTES, payload_bytes))
        content: bytes = reader.decompress(body, max_output_size=payload_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise PackingError(f"a packed body is damaged: {error}") from error
    if len(content) != payload_bytes:
        raise PackingError(f"a packed body gave {len(content)} B instead of {payload_bytes}")
    return content


def _rows(view: memoryview) -> tuple[list[_Row], int]:
    """The heads of all tensors, each within its bounds, and where the bodies begin."""
    if len(view) < _HEAD.size:
        raise PackingError("too short for packed tensors")
    magic, count = _HEAD.unpack_from(view)
    if magic != MAGIC or not 0 < count <= MAX_TENSORS:
        raise PackingError(
            f"no packed tensors: they begin with {MAGIC.decode()} and number 1 to {MAX_TENSORS}"
        )
    rows, position = [], _HEAD.size
    for _ in range(count):
        row, position = _row(view, position)
        rows.append(row)
    return rows, position


def _row(view: memoryview, position: int) -> tuple[_Row, int]:
    try:
        method, dtype, rank = _ROW.unpack_from(view, position)
        position += _ROW.size
        if method >= len(Method) or dtype >= len(_DTYPES) or rank > MAX_RANK:
            raise PackingError(f"a tensor of method {method}, dtype {dtype}, rank {rank} does not exist")
        *shape, body_bytes = struct.unpack_from(f"<{rank + 1}I", view, position)
    except struct.error as error:
        raise PackingError("cut off within the head of a tensor") from error
    row = _Row(
        method=Method(method),
        dtype=np.dtype(_DTYPES[dtype]).newbyteorder("<"),
        shape=tuple(shape),
        body_bytes=body_bytes,
    )
    if row.payload_bytes > MAX_TOTAL_BYTES or _is_too_large(row.shape):
        raise PackingError(f"a tensor of shape {row.shape} is larger than any that travels")
    _check_row(row, name="a tensor")
    return row, position + _SIZE.size * (rank + 1)


def _check_row(row: _Row, *, name: str) -> None:
    if row.method is Method.RAW and row.body_bytes != row.payload_bytes:
        raise PackingError(f"{name}: a raw body of {row.body_bytes} B cannot hold {row.payload_bytes} B")
    if row.method is Method.PACKED_CHANNELS_FIRST and len(row.shape) != 4:
        raise PackingError(f"{name}: channels first means rank 4, not {len(row.shape)}")


def _is_too_large(shape: tuple[int, ...]) -> bool:
    """Sizes beside a zero count too: numpy cannot hold them, however few bytes the tensor has."""
    return math.prod(size or 1 for size in shape) > MAX_TOTAL_BYTES


def _zstandard() -> Any:
    try:  # a headset that never packs need not have it
        return import_module("zstandard")
    except ImportError as error:
        raise RuntimeMissingError(f"cannot pack tensors here ({error}): install headway[edge]") from error
