"""From the checked fields of one table to its message, and the rules between fields. Core.

Rules here are those that a layout cannot say: sizes that must agree, the schema version. ``walk`` calls a
table's builder with the values by field id after each of them was found sound.
"""

from collections.abc import Callable
from typing import Any

from schemas.errors import MalformedMessage, Reason
from schemas.layout import LAYOUTS
from schemas.messages import (
    SCHEMA_VERSION,
    Audio,
    Detection,
    Encoding,
    Frame,
    HandResult,
    Header,
    Outcomes,
    Part,
    Ping,
    Refusal,
    Result,
    RoiBox,
    Telemetry,
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


def _check_subjects(table: str, *, subjects: int, payload: Any) -> None:
    """What the values must be is known to whoever has the model; that nobody has none is known here."""
    if payload and not subjects:
        raise MalformedMessage(Reason.BAD_VALUE, f"{table} has {len(payload)} bytes of values of no subject")


def _part(_walk: Walk, values: list[Any]) -> Part:
    header, subjects, coding, payload, brief_reply = values
    _check_subjects("Part", subjects=subjects, payload=payload)
    return Part(header=header, subjects=subjects, coding=coding, payload=payload, brief_reply=brief_reply)


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
    fields = LAYOUTS[kind.__name__].fields
    names = [(at, field.name) for at, field in enumerate(fields) if not field.retired]
    return lambda _walk, values: kind(**{name: values[at] for at, name in names})


def _result(walk: Walk, values: list[Any]) -> object:
    subjects, _, payload, _ = values[-4:]  # the newest ids
    _check_subjects("Result", subjects=subjects, payload=payload)
    return _NAMED_RESULT(walk, values)


_NAMED_RESULT = _named(Result)
BUILDERS: dict[str, Builder] = {
    "Header": _header,
    "Timing": _named(Timing),
    "Frame": _frame,
    "Part": _part,
    "Audio": _audio,
    "Ping": _named(Ping),
    "HandResult": _hand,
    "Detection": _named(Detection),
    "TextLine": _text_line,
    "Result": _result,
    "Refusal": _named(Refusal),
    "Outcomes": _outcomes,
    "Telemetry": _named(Telemetry),
}
