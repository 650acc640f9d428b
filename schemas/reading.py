"""From the checked fields of one table to its message, and the rules between fields. Core.

Rules here are those that a layout cannot say: sizes that must agree, the schema version. ``walk`` calls a
table's builder with the values by field id after each of them was found sound.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from schemas.errors import MalformedMessage, Reason
from schemas.layout import DTYPES, LAYOUTS, MAX_PAYLOAD_BYTES
from schemas.messages import (
    SCHEMA_VERSION,
    Audio,
    Detection,
    Encoding,
    Frame,
    HandResult,
    Header,
    Outcomes,
    Ping,
    Refusal,
    Result,
    RoiBox,
    Telemetry,
    Tensor,
    TensorFrame,
    TextLine,
    Timing,
)
from schemas.walk import Walk

Builder = Callable[[Walk, list[Any]], object]

PIXEL_BYTES: dict[Encoding, int] = {Encoding.RGB8: 3, Encoding.GRAY8: 1}
SAMPLE_BYTES: dict[Encoding, int] = {Encoding.PCM_S16LE: 2}


def roi_box(values: tuple[float, ...]) -> RoiBox:
    """A box from the struct's floats."""
    center_x, center_y, width, height, rotation_rad = values
    return RoiBox(center_x=center_x, center_y=center_y, width=width, height=height, rotation_rad=rotation_rad)


def _header(walk: Walk, values: list[Any]) -> Header:
    version, boot_id, task, frame_id, capture_ns, send_ns, budget_us, placement_id = values[:8]
    if version != SCHEMA_VERSION:
        raise MalformedMessage(
            Reason.WRONG_SCHEMA_VERSION, f"version {version}, this side reads {SCHEMA_VERSION}"
        )
    model_digest, trace_id, span_id, walk.crc32 = values[8:]
    return Header(
        boot_id=boot_id,
        task=task,
        frame_id=frame_id,
        capture_ns=capture_ns,
        send_ns=send_ns,
        budget_us=budget_us,
        placement_id=placement_id,
        model_digest=model_digest,
        trace_id=trace_id,
        span_id=span_id,
        schema_version=version,
    )


def _frame(_walk: Walk, values: list[Any]) -> Frame:
    header, width_px, height_px, encoding, quality, rois, payload = values
    wanted = width_px * height_px * PIXEL_BYTES.get(encoding, 0)
    if wanted and len(payload) != wanted:
        raise MalformedMessage(
            Reason.BAD_VALUE, f"Frame.payload has {len(payload)} bytes, its size needs {wanted}"
        )
    return Frame(
        header=header,
        width_px=width_px,
        height_px=height_px,
        encoding=encoding,
        quality=quality,
        rois=rois,
        payload=payload,
    )


def _audio(_walk: Walk, values: list[Any]) -> Audio:
    header, sample_rate_hz, channels, encoding, payload = values
    step = channels * SAMPLE_BYTES[encoding]
    if len(payload) % step:
        raise MalformedMessage(
            Reason.BAD_VALUE, f"Audio.payload has {len(payload)} bytes, a sample of all channels {step}"
        )
    return Audio(
        header=header, sample_rate_hz=sample_rate_hz, channels=channels, encoding=encoding, payload=payload
    )


def _tensor(_walk: Walk, values: list[Any]) -> Tensor:
    name, dtype, sizes, scale, zero_point, data = values
    shape = tuple(int(size) for size in sizes)  # Python's own integers do not overflow
    item = np.dtype(DTYPES[dtype])
    if prod(shape) * item.itemsize != len(data):
        raise MalformedMessage(
            Reason.BAD_VALUE, f"Tensor.data has {len(data)} bytes, {item} of shape {shape} has other"
        )
    # One size of 0 makes any product fit, but numpy refuses an array whose other sizes are too large.
    if prod(size for size in shape if size) * item.itemsize > MAX_PAYLOAD_BYTES:
        raise MalformedMessage(Reason.BAD_VALUE, f"Tensor.shape {shape} is empty and yet over the limit")
    array = np.frombuffer(data, item).reshape(shape)
    return Tensor(name=name, data=array, scale=scale, zero_point=zero_point)


def _hand(_walk: Walk, values: list[Any]) -> HandResult:
    landmarks, presence, handedness, roi = values
    return HandResult(landmarks=landmarks.reshape(21, 3), presence=presence, handedness=handedness, roi=roi)


def _text_line(_walk: Walk, values: list[Any]) -> TextLine:
    text, score, corners = values
    return TextLine(text=text, score=score, corners=corners.reshape(4, 2))


def _outcomes(_walk: Walk, values: list[Any]) -> Outcomes:
    names = Outcomes.__dataclass_fields__  # in the order of the ids; the last is ``none``
    return Outcomes(**dict(zip(names, values, strict=True)))


def _named(kind: Callable[..., object]) -> Builder:
    """A builder for a message whose fields have the names of its table's."""
    names = [field.name for field in LAYOUTS[kind.__name__].fields]
    return lambda _walk, values: kind(**dict(zip(names, values, strict=True)))


BUILDERS: dict[str, Builder] = {
    "Header": _header,
    "Timing": _named(Timing),
    "Frame": _frame,
    "Tensor": _tensor,
    "TensorFrame": _named(TensorFrame),
    "Audio": _audio,
    "Ping": _named(Ping),
    "HandResult": _hand,
    "Detection": _named(Detection),
    "TextLine": _text_line,
    "Result": _named(Result),
    "Refusal": _named(Refusal),
    "Outcomes": _outcomes,
    "Telemetry": _named(Telemetry),
}
