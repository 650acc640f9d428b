"""Messages to bytes and back, also against flatc's own builder and accessors."""

import zlib
from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.good import good_messages
from schemas.checksum import payload_crc32
from schemas.codec import Encoder, decode, mirror
from schemas.documents import TelemetryMirror
from schemas.errors import EncodeError, MalformedMessage
from schemas.generated import Frame as FrameTable
from schemas.generated import Header as HeaderTable
from schemas.generated import Id16 as Id16Struct
from schemas.generated import Refusal as RefusalTable
from schemas.generated import RoiBox as RoiStruct
from schemas.generated import Timing as TimingTable
from schemas.generated.Result import Result as ResultAccessor
from schemas.generated.Telemetry import Telemetry as TelemetryAccessor
from schemas.messages import (
    SCHEMA_VERSION,
    Encoding,
    Frame,
    Header,
    Part,
    PartCoding,
    Ping,
    Refusal,
    RefusalReason,
    Result,
    RoiBox,
    Task,
    Telemetry,
    Timing,
)
from tests.schemas import strategies

encoder = Encoder()
GOOD = {type(message): message for message in reversed(good_messages())}  # the first of each kind
PART_RESULTS = [message for message in good_messages() if getattr(message, "part_payload", b"")]


@settings(max_examples=120, deadline=None)
@given(strategies.messages)
def test_every_message_comes_back_as_it_was_sent(message):
    assert strategies.plain(decode(encoder.encode(message))) == strategies.plain(message)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_is_read(wrap):
    for message in good_messages():
        received = decode(wrap(encoder.encode(message)))
        assert strategies.plain(received) == strategies.plain(message)


def test_encoding_is_deterministic():
    for message in good_messages():
        assert encoder.encode(message) == Encoder().encode(message)


def test_payloads_and_arrays_are_views_and_not_copies():
    buffer = bytearray(encoder.encode(GOOD[Frame]))
    payload = decode(buffer).payload
    at = bytes(buffer).index(bytes(payload))
    buffer[at] ^= 0xFF
    assert payload[0] == buffer[at]
    landmarks = decode(encoder.encode(GOOD[Result])).hands[0].landmarks
    assert not landmarks.flags.owndata


def test_the_values_of_a_part_start_on_sixteen_bytes():
    values = bytes(range(100, 171))
    for message in (
        replace(GOOD[Part], payload=values),
        *(replace(reply, part_payload=values) for reply in PART_RESULTS),
    ):
        assert encoder.encode(message).index(values) % 16 == 0


@given(st.integers(0, 4096), st.sampled_from(PartCoding))
def test_a_part_adds_at_most_two_hundred_bytes_to_its_values(size, coding):
    part = replace(GOOD[Part], subjects=1, coding=coding, payload=bytes(size), brief_reply=True)
    assert len(encoder.encode(part)) - size <= 200


BRIEF = Result(
    header=Header(
        boot_id=b"\x01" * 16,
        task=Task.HANDS,
        frame_id=2**64 - 1,
        capture_ns=0,
        send_ns=2**63 - 1,
        budget_us=0,
        placement_id=2**32 - 1,
        span_id=b"\x02" * 8,
    ),
    timing=Timing(received_ns=2**63 - 1, queue_us=2**32 - 1, decode_us=2**32 - 1, run_us=2**32 - 1),
    part_model=b"\x03" * 8,
)


@given(st.integers(0, 4096), st.integers(1, 64), st.sampled_from(PartCoding))
def test_a_brief_reply_adds_at_most_two_hundred_bytes_to_its_values(size, subjects, coding):
    reply = replace(BRIEF, part_subjects=subjects, part_coding=coding, part_payload=bytes(size))
    assert len(encoder.encode(reply)) - size <= 200


def test_what_a_reply_does_not_hold_costs_no_bytes():
    hands = GOOD[Result]
    nothing = replace(hands, hands=(), next_rois=())
    assert len(encoder.encode(replace(nothing, transcript="a"))) > len(encoder.encode(nothing))
    bare = replace(hands.header, capture_ns=0, budget_us=0, model_digest=bytes(32), trace_id=bytes(16))
    saved = len(encoder.encode(nothing)) - len(encoder.encode(replace(nothing, header=bare)))
    assert saved > (8 + 4 + 32 + 16) - 8  # what alignment may take back


# what flatc's code wrote, this codec reads; what this codec wrote, flatc's code reads


def _builder_header(builder, *, payload=b"", **skip):
    HeaderTable.Start(builder)
    HeaderTable.AddBootId(builder, Id16Struct.CreateId16(builder, 1, 2))
    HeaderTable.AddSchemaVersion(builder, skip.get("version", SCHEMA_VERSION))
    HeaderTable.AddFrameId(builder, 7)
    HeaderTable.AddPayloadCrc32(builder, payload_crc32([payload]))
    return HeaderTable.End(builder)


def test_a_frame_built_by_flatcs_builder_is_read():
    builder = flatbuffers.Builder(0)
    payload = builder.CreateByteVector(b"jpeg")
    FrameTable.StartRoisVector(builder, 1)
    RoiStruct.CreateRoiBox(builder, 0.5, 0.25, 1.0, 2.0, 0.0)
    rois = builder.EndVector()
    header = _builder_header(builder, payload=b"jpeg")
    FrameTable.Start(builder)
    FrameTable.AddPayload(builder, payload)
    FrameTable.AddHeader(builder, header)
    FrameTable.AddRois(builder, rois)
    FrameTable.AddWidthPx(builder, 640)
    FrameTable.AddHeightPx(builder, 360)
    builder.Finish(FrameTable.End(builder), b"HWFR")
    frame = decode(bytes(builder.Output()))
    assert (frame.width_px, frame.height_px, frame.encoding, frame.quality) == (640, 360, Encoding.JPEG, 0)
    assert frame.rois == (RoiBox(center_x=0.5, center_y=0.25, width=1.0, height=2.0, rotation_rad=0.0),)
    assert bytes(frame.payload) == b"jpeg"
    assert frame.header.boot_id == (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    assert frame.header.frame_id == 7
    assert frame.header.model_digest == bytes(32)


def test_absent_optional_fields_read_as_nothing():
    builder = flatbuffers.Builder(0)
    TimingTable.Start(builder)
    timing = TimingTable.End(builder)
    header = _builder_header(builder)
    RefusalTable.Start(builder)
    RefusalTable.AddHeader(builder, header)
    RefusalTable.AddTiming(builder, timing)
    builder.Finish(RefusalTable.End(builder), b"HWRF")
    refusal = decode(bytes(builder.Output()))
    assert (refusal.reason, refusal.detail, refusal.retry_after_ms) == (RefusalReason.MALFORMED, "", 0)
    assert refusal.timing.received_ns == 0


def _eight(opaque) -> bytes:
    return opaque.Low().to_bytes(8, "little") if opaque else bytes(8)


@settings(max_examples=30, deadline=None)
@given(strategies.results)
def test_results_read_the_same_through_flatcs_accessors(result):
    table = ResultAccessor.GetRootAs(encoder.encode(result))
    header = table.Header()
    assert (header.FrameId(), header.CaptureNs(), header.BudgetUs()) == (
        result.header.frame_id,
        result.header.capture_ns,
        result.header.budget_us,
    )
    assert _eight(header.SpanId()) == result.header.span_id
    assert _eight(table.PartModel()) == result.part_model
    assert table.HandsLength() == len(result.hands)
    for at, hand in enumerate(result.hands):
        np.testing.assert_array_equal(table.Hands(at).LandmarksAsNumpy(), hand.landmarks.reshape(-1))
        assert table.Hands(at).Roi().Width() == hand.roi.width
    assert [table.NextRois(at).CenterY() for at in range(table.NextRoisLength())] == [
        roi.center_y for roi in result.next_rois
    ]
    assert [table.Detections(at).Label() for at in range(table.DetectionsLength())] == [
        detection.label.encode() for detection in result.detections
    ]
    assert (table.PartSubjects(), table.PartCoding()) == (result.part_subjects, result.part_coding)
    assert bytes(table.PartPayloadAsNumpy() if result.part_payload else b"") == result.part_payload
    assert (table.Transcript() or b"") == result.transcript.encode()


@settings(max_examples=30, deadline=None)
@given(strategies.telemetries)
def test_telemetry_reads_the_same_through_flatcs_accessors(telemetry):
    table = TelemetryAccessor.GetRootAs(encoder.encode(telemetry))
    assert table.Outcomes().NoAnswer() == telemetry.outcomes.none
    assert (table.WallMs(), table.UplinkBytes(), table.Fps()) == (
        telemetry.wall_ms,
        telemetry.uplink_bytes,
        telemetry.fps,
    )
    assert (table.Throttled(), table.Worker()) == (telemetry.throttled, telemetry.worker.encode())


# what no peer would accept is refused at the sender, and the field is named


def _header(**changes):
    return replace(GOOD[Ping].header, **changes)


MISFITS = {
    "short boot id": (Ping(header=_header(boot_id=b"x")), "Header.boot_id has 1 bytes, it must have 16"),
    "long digest": (Ping(header=_header(model_digest=bytes(33))), "Header.model_digest"),
    "negative id": (Ping(header=_header(frame_id=-1)), "Header.frame_id is -1"),
    "budget too large": (Ping(header=_header(budget_us=2**31)), "Header.budget_us"),
    "text for a number": (replace(GOOD[Frame], width_px="640"), "Frame.width_px is '640'"),
    "other version": (Ping(header=_header(schema_version=9)), "wrong_schema_version"),
    "no width": (replace(GOOD[Frame], width_px=0), "Frame.width_px is 0"),
    "quality": (replace(GOOD[Frame], quality=101), "Frame.quality"),
    "sound in a frame": (replace(GOOD[Frame], encoding=Encoding.PCM_S16LE), "Frame.encoding"),
    "too large": (replace(GOOD[Frame], payload=bytes(2**21)), "too_large"),
    "infinite roi": (
        replace(GOOD[Frame], rois=(replace(GOOD[Frame].rois[0], width=float("inf")),)),
        "Frame.rois holds inf",
    ),
    "huge roi": (replace(GOOD[Frame], rois=(replace(GOOD[Frame].rois[0], width=1e300),)), "Frame.rois"),
    "hands beyond count": (replace(GOOD[Part], subjects=65), "Part.subjects is 65"),
    "values of nobody": (replace(GOOD[Part], subjects=0), "96 bytes of values of no subject"),
    "returned values of nobody": (
        replace(GOOD[Result], part_payload=b"x"),
        "Result has 1 bytes of values of no subject",
    ),
    "unknown coding": (replace(GOOD[Part], coding=2), "Part.coding is 2"),
    "no bytes": (replace(GOOD[Part], payload=[1]), "wrong type"),
    "short landmarks": (
        replace(
            GOOD[Result],
            hands=(replace(GOOD[Result].hands[0], landmarks=np.zeros((20, 3), np.float32)),),
        ),
        "HandResult.landmarks has 60 items",
    ),
    "nan landmarks": (
        replace(
            GOOD[Result],
            hands=(replace(GOOD[Result].hands[0], landmarks=np.full((21, 3), np.nan, np.float32)),),
        ),
        "HandResult.landmarks holds",
    ),
    "long detail": (
        replace(GOOD[Refusal], detail="x" * 1025),
        "Refusal.detail has 1025 bytes, allowed are 1024",
    ),
    "lone surrogate": (replace(GOOD[Refusal], detail="\ud800"), "wrong type"),
    "nan telemetry": (replace(GOOD[Telemetry], fps=float("nan")), "Telemetry.fps is nan"),
    "no message": ("hello", "str is not a data message"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_message_that_no_peer_would_accept_is_not_encoded(name):
    message, said = MISFITS[name]
    with pytest.raises(EncodeError) as caught:
        encoder.encode(message)
    assert said in str(caught.value)


def test_a_stream_carries_only_its_own_messages():
    ping = encoder.encode(GOOD[Ping])
    assert isinstance(decode(ping, stream="infer"), Ping)
    with pytest.raises(MalformedMessage, match="does not travel on the stream 'result'"):
        decode(ping, stream="result")


def test_the_mirror_says_what_telemetry_says():
    telemetry = decode(encoder.encode(GOOD[Telemetry]))
    document = mirror(telemetry, "d-1")
    assert isinstance(document, TelemetryMirror)
    assert document.device == "d-1"
    assert document.mode == "offload"
    assert document.outcomes["none"] == telemetry.outcomes.none
    assert sum(document.outcomes[name] for name in ("fresh_on_time", "carried_on_time", "late", "none")) == 15
    assert document.worker == "w-1"


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 4097, 5000, 128 * 1024, 128 * 1024 + 1])
def test_the_checksum_of_parts_is_that_of_all_their_bytes(size_bytes):
    content = np.random.default_rng(size_bytes).bytes(size_bytes)
    for part in (content, bytearray(content), memoryview(content)):
        assert payload_crc32([b"head", part, b"tail"]) == zlib.crc32(b"head" + content + b"tail")
