"""Hypothesis strategies: any message that the contract allows."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from schemas.messages import (
    Audio,
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

u8, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 32, 64))
i32, i64 = (st.integers(-(2**bits), 2**bits - 1) for bits in (31, 63))
f32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
fractions = st.floats(0, 1, width=32)


def opaque(size):
    return st.binary(min_size=size, max_size=size)


def texts(most):
    return st.text(st.characters(codec="utf-8"), max_size=most // 4)


def floats(*shape):
    return npst.arrays(np.dtype("<f4"), shape, elements=f32)


headers = st.builds(
    Header,
    boot_id=opaque(16),
    task=st.sampled_from(Task),
    frame_id=u64,
    capture_ns=i64,
    send_ns=i64,
    budget_us=i32,
    placement_id=u32,
    model_digest=opaque(32),
    trace_id=opaque(16),
    span_id=opaque(8),
)
rois = st.builds(RoiBox, center_x=f32, center_y=f32, width=f32, height=f32, rotation_rad=f32)
roi_lists = st.lists(rois, max_size=3).map(tuple)
timings = st.builds(Timing, received_ns=i64, queue_us=u32, decode_us=u32, run_us=u32)
hands = st.builds(HandResult, landmarks=floats(21, 3), presence=fractions, handedness=fractions, roi=rois)
detections = st.builds(
    Detection, class_id=i32, label=texts(128), score=fractions, left=f32, top=f32, right=f32, bottom=f32
)
text_lines = st.builds(TextLine, text=texts(4096), score=fractions, corners=floats(4, 2))

jpegs = st.builds(
    Frame,
    header=headers,
    width_px=st.integers(1, 16_384),
    height_px=st.integers(1, 16_384),
    encoding=st.just(Encoding.JPEG),
    quality=st.integers(0, 100),
    rois=roi_lists,
    payload=st.binary(max_size=3000)
    | st.binary(max_size=99).map(bytearray)
    | st.binary(max_size=99).map(memoryview),
)


@st.composite
def raw_frames(draw):
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    encoding, pixel_bytes = draw(st.sampled_from([(Encoding.RGB8, 3), (Encoding.GRAY8, 1)]))
    return Frame(
        header=draw(headers),
        width_px=width,
        height_px=height,
        encoding=encoding,
        quality=0,
        payload=draw(opaque(width * height * pixel_bytes)),
    )


@st.composite
def audios(draw):
    channels = draw(st.integers(1, 4))
    return Audio(
        header=draw(headers),
        sample_rate_hz=draw(st.integers(1000, 384_000)),
        channels=channels,
        encoding=Encoding.PCM_S16LE,
        payload=draw(opaque(2 * channels * draw(st.integers(0, 20)))),
    )


values = st.tuples(st.integers(1, 64), st.sampled_from(PartCoding), st.binary(max_size=300)) | st.tuples(
    st.just(0), st.sampled_from(PartCoding), st.just(b"")
)


@st.composite
def parts(draw):
    subjects, coding, payload = draw(values)
    return Part(
        header=draw(headers),
        subjects=subjects,
        coding=coding,
        payload=payload,
        brief_reply=draw(st.booleans()),
    )


pings = st.builds(Ping, header=headers, payload=st.binary(max_size=64))


@st.composite
def _results(draw):
    subjects, coding, payload = draw(values)
    return Result(
        header=draw(headers),
        timing=draw(timings),
        hands=tuple(draw(st.lists(hands, max_size=2))),
        next_rois=draw(roi_lists),
        detections=tuple(draw(st.lists(detections, max_size=3))),
        texts=tuple(draw(st.lists(text_lines, max_size=3))),
        transcript=draw(texts(4000)),
        part_subjects=subjects,
        part_coding=coding,
        part_payload=payload,
        part_model=draw(st.just(bytes(8)) | opaque(8)),
    )


results = _results()
refusals = st.builds(
    Refusal,
    header=headers,
    timing=timings,
    reason=st.sampled_from(RefusalReason),
    detail=texts(1024),
    retry_after_ms=u32,
)
outcomes = st.builds(
    Outcomes,
    scheduled=u32,
    captured=u32,
    skipped=u32,
    fresh_on_time=u32,
    carried_on_time=u32,
    late=u32,
    none=u32,
)
telemetries = st.builds(
    Telemetry,
    header=headers,
    wall_ms=u64,
    window_ms=u32,
    mode=st.sampled_from(Mode),
    fps=st.floats(0, 10_000, width=32),
    outcomes=outcomes,
    answered_local=u32,
    answered_offload=u32,
    switches=u32,
    host_late=u32,
    latency_p50_us=u32,
    latency_p99_us=u32,
    age_p99_us=u32,
    rtt_us=u32,
    uplink_bytes=u64,
    downlink_bytes=u64,
    battery_fraction=fractions,
    temperature_c=st.floats(-200, 1000, width=32),
    throttled=st.booleans(),
    simulated=st.booleans(),
    worker=texts(64),
    model=texts(128),
    answered_split=u32,
    wasted_runs=u32,
)
messages = st.one_of(jpegs, raw_frames(), parts(), audios(), pings, results, refusals, telemetries)


def plain(value):
    """A message as nested tuples that compare by value, arrays and views by their bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, *(plain(getattr(value, name)) for name in value.__dataclass_fields__)
    assert not (isinstance(value, float) and math.isnan(value))
    return value
