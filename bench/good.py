"""One good message and document of every kind: what fuzz and tests start from. Vocabulary."""

from hashlib import sha256

import numpy as np

from schemas.documents import DeploymentSpec, Desired, DevicePresence, canonical_bytes
from schemas.messages import (
    Audio,
    DataMessage,
    Detection,
    Encoding,
    Frame,
    HandResult,
    Header,
    Mode,
    Outcomes,
    Part,
    PartCoding,
    Ping,
    Refusal,
    RefusalReason,
    Result,
    RoiBox,
    Task,
    Telemetry,
    TextLine,
    Timing,
)

WrittenKind = type[DevicePresence | Desired | DeploymentSpec]


HEADER = Header(
    boot_id=b"\x11" * 16,
    task=Task.HANDS,
    frame_id=42,
    capture_ns=1_000_000,
    send_ns=2_000_000,
    budget_us=90_000,
    model_digest=b"\x22" * 32,
    trace_id=b"\x33" * 16,
    span_id=b"\x44" * 8,
)
TIMING = Timing(received_ns=5, queue_us=6, decode_us=7, run_us=8)


def noise(size: int) -> bytes:
    """Bytes without a pattern, the same on every machine."""
    return b"".join(sha256(b"%d" % block).digest() for block in range(-(-size // 32)))[:size]


def good_messages() -> list[DataMessage]:
    """One good message of every kind, frames and results most."""
    roi = RoiBox(center_x=0.5, center_y=0.5, width=0.25, height=0.25, rotation_rad=0.125)
    return [*_frames(roi), *_results(roi), *_others(), *_parts()]


def _frames(roi: RoiBox) -> list[DataMessage]:
    jpeg = Frame(
        header=HEADER,
        width_px=640,
        height_px=360,
        encoding=Encoding.JPEG,
        quality=80,
        rois=(roi, roi),
        payload=noise(600),
    )
    raw = Frame(
        header=HEADER, width_px=16, height_px=8, encoding=Encoding.RGB8, quality=0, payload=noise(384)
    )
    return [jpeg, jpeg, raw]


def _results(roi: RoiBox) -> list[DataMessage]:
    landmarks = np.arange(63, dtype=np.float32).reshape(21, 3) / 64
    hand = HandResult(landmarks=landmarks, presence=0.875, handedness=0.125, roi=roi)
    box = Detection(class_id=3, label="hand", score=0.5, left=0.125, top=0.125, right=0.375, bottom=0.5)
    line = TextLine(text="NOTAUS ⚠", score=0.75, corners=np.arange(8, dtype=np.float32).reshape(4, 2) / 8)
    hands = Result(header=HEADER, timing=TIMING, hands=(hand, hand), next_rois=(roi, roi))
    seen = Result(
        header=HEADER, timing=TIMING, detections=(box, box), texts=(line,), transcript="stop the line"
    )
    return [hands, hands, seen]


def _others() -> list[DataMessage]:
    return [
        Audio(
            header=HEADER,
            sample_rate_hz=16_000,
            channels=2,
            encoding=Encoding.PCM_S16LE,
            payload=noise(256),
        ),
        Ping(header=HEADER, payload=b"ping"),
        Refusal(header=HEADER, timing=TIMING, reason=RefusalReason.BUSY, detail="busy", retry_after_ms=5),
        Telemetry(
            header=HEADER,
            wall_ms=1,
            window_ms=500,
            mode=Mode.OFFLOAD,
            fps=30.0,
            outcomes=Outcomes(scheduled=15, captured=15, fresh_on_time=14, none=1),
            throttled=True,
            worker="w-1",
            model="m",
        ),
    ]


def _parts() -> list[DataMessage]:
    brief = Header(boot_id=HEADER.boot_id, task=Task.HANDS, frame_id=42, capture_ns=0, send_ns=9, budget_us=0)
    return [
        Part(header=HEADER, subjects=2, coding=PartCoding.PACKED, payload=noise(96)),
        Result(
            header=HEADER,
            timing=TIMING,
            part_subjects=1,
            part_coding=PartCoding.PACKED,
            part_payload=noise(33),
        ),
        Part(header=HEADER, subjects=1, payload=noise(64), brief_reply=True),
        Result(
            header=brief,
            timing=TIMING,
            part_subjects=1,
            part_payload=noise(48),
            part_model=b"\x22" * 8,
        ),
    ]


def seed_messages() -> list[DataMessage]:
    """What mutants are drawn of: the good messages and a request to prove a placement, which has no values."""
    known = good_messages()
    return [*known, Part(header=known[0].header)]


def good_documents() -> list[tuple[WrittenKind, bytes]]:
    """A good document of three kinds, as kind and bytes."""
    presence = DevicePresence(
        device="d-1",
        online=True,
        session=1,
        boot_id="0" * 32,
        device_class="xr-slow",
        software="1",
        sent_ms=1,
    )
    desired = Desired(device="d-1", epoch=1, version=2, sent_ms=1)
    spec = DeploymentSpec.model_validate({"target": {"group": "line-a"}, "model": "hands:1"})
    return [(type(document), canonical_bytes(document)) for document in (presence, desired, spec)]
