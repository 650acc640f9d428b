"""Bytes that break the contract: each is refused for its own reason, and nothing but a reason ever comes out."""

import struct

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.good import good_messages
from bench.mutants import anatomy_of
from schemas.codec import Encoder, decode
from schemas.documents import (
    Desired,
    DevicePresence,
    EnrolReply,
    Load,
    Reported,
    WorkerPresence,
    parse_document,
)
from schemas.errors import MalformedMessage, Reason
from schemas.generated import Ping as PingTable
from schemas.generated import Result as ResultTable
from schemas.generated import Timing as TimingTable
from schemas.layout import LAYOUTS, ROOTS
from schemas.messages import Audio, Frame, Part, Ping, Refusal, Result, Telemetry
from schemas.verify import check_sender
from tests.schemas import strategies
from tests.schemas.test_wire_codec import _builder_header

GOOD = {type(message): message for message in reversed(good_messages())}
BYTES = {kind: Encoder().encode(message) for kind, message in GOOD.items()}


def site_of(data, path):
    """Position of a field, as ``header.task``; of a vector's first item with ``0``."""
    table, at = ROOTS[bytes(data[4:8])][0], struct.unpack_from("<I", data, 0)[0]
    names = path.split(".")
    for name in names:
        if name == "0":
            at += 4
        else:
            key = [row.name for row in LAYOUTS[table].fields].index(name)
            vtable = at - struct.unpack_from("<i", data, at)[0]
            at += struct.unpack_from("<H", data, vtable + 4 + 2 * key)[0]
            table = LAYOUTS[table].fields[key].type.strip("[]")
        if name != names[-1]:
            at += struct.unpack_from("<I", data, at)[0]
    return at


def vtable_of(data, path=""):
    at = struct.unpack_from("<I", data, 0)[0]
    if path:
        at = site_of(data, path)
        at += struct.unpack_from("<I", data, at)[0]
    return at - struct.unpack_from("<i", data, at)[0]


def poked(kind, at, fmt, value):
    data = bytearray(BYTES[kind])
    struct.pack_into("<" + fmt, data, at, value)
    return bytes(data)


def field_poked(kind, path, fmt, value):
    return poked(kind, site_of(BYTES[kind], path), fmt, value)


def behind(kind, path, fmt, value, *, ahead=0):
    """The thing that the offset at ``path`` points to, with a value poked into it."""
    at = site_of(BYTES[kind], path)
    return poked(kind, at + struct.unpack_from("<I", BYTES[kind], at)[0] + ahead, fmt, value)


def absent(kind, path, key):
    return poked(kind, vtable_of(BYTES[kind], path) + 4 + 2 * key, "H", 0)


CASES = {
    "empty": (b"", Reason.TOO_SHORT),
    "eleven bytes": (BYTES[Ping][:11], Reason.TOO_SHORT),
    "text": (b"hello, is anybody here?", Reason.BAD_IDENTIFIER),
    "json": (b'{"device": "d-1", "online": true}', Reason.BAD_IDENTIFIER),
    "telemetry over its row's size": (BYTES[Telemetry] + bytes(4096), Reason.TOO_LARGE),
    "frame over its row's size": (BYTES[Frame] + bytes(2**21), Reason.TOO_LARGE),
    "root past the end": (poked(Frame, 0, "I", 2**31), Reason.BAD_OFFSET),
    "root at itself": (poked(Frame, 0, "I", 0), Reason.BAD_OFFSET),
    "odd root": (poked(Frame, 0, "I", 13), Reason.BAD_OFFSET),
    "header past the end": (field_poked(Frame, "header", "I", 2**32 - 4), Reason.BAD_OFFSET),
    "string past the end": (field_poked(Refusal, "detail", "I", 2**20), Reason.BAD_OFFSET),
    "vtable before the start": (
        poked(Frame, struct.unpack_from("<I", BYTES[Frame], 0)[0], "i", 2**30),
        Reason.BAD_VTABLE,
    ),
    "vtable behind the end": (
        poked(Frame, struct.unpack_from("<I", BYTES[Frame], 0)[0], "i", -(2**30)),
        Reason.BAD_VTABLE,
    ),
    "vtable of odd size": (poked(Frame, vtable_of(BYTES[Frame]), "H", 7), Reason.BAD_VTABLE),
    "vtable of no size": (poked(Frame, vtable_of(BYTES[Frame]), "H", 0), Reason.BAD_VTABLE),
    "vtable past the end": (poked(Frame, vtable_of(BYTES[Frame]), "H", 65_534), Reason.BAD_VTABLE),
    "table of no size": (poked(Frame, vtable_of(BYTES[Frame]) + 2, "H", 0), Reason.BAD_VTABLE),
    "table past the end": (poked(Frame, vtable_of(BYTES[Frame]) + 2, "H", 65_535), Reason.BAD_VTABLE),
    "field outside of its table": (poked(Frame, vtable_of(BYTES[Frame]) + 6, "H", 4000), Reason.BAD_VTABLE),
    "field over its vtable's offset": (poked(Frame, vtable_of(BYTES[Frame]) + 6, "H", 2), Reason.BAD_VTABLE),
    "no header": (absent(Frame, "", 0), Reason.MISSING_FIELD),
    "no payload": (absent(Frame, "", 6), Reason.MISSING_FIELD),
    "no boot id": (absent(Frame, "header", 1), Reason.MISSING_FIELD),
    "no timing": (absent(Result, "", 1), Reason.MISSING_FIELD),
    "payload past the end": (behind(Frame, "payload", "I", 2**30), Reason.BAD_VECTOR),
    "payload of four gigabytes": (behind(Frame, "payload", "I", 2**32 - 1), Reason.BAD_VECTOR),
    "too many rois": (
        behind(Frame, "rois", "I", 65),
        Reason.BAD_VECTOR,
    ),
    "too few landmarks": (behind(Result, "hands.0.landmarks", "I", 62), Reason.BAD_VECTOR),
    "values past the end": (behind(Part, "payload", "I", 97), Reason.BAD_VECTOR),
    "named tensors, which no one sends any more": (
        BYTES[Part].replace(b"HWPT", b"HWTE"),
        Reason.BAD_IDENTIFIER,
    ),
    "string without end": (behind(Refusal, "detail", "I", 3), Reason.BAD_STRING),
    "string past the end of all": (behind(Refusal, "detail", "I", 2**31), Reason.BAD_STRING),
    "string that is not utf-8": (behind(Refusal, "detail", "B", 0xFF, ahead=4), Reason.BAD_STRING),
    "unknown task": (field_poked(Frame, "header.task", "B", 5), Reason.BAD_ENUM),
    "unknown reason": (field_poked(Refusal, "reason", "B", 255), Reason.BAD_ENUM),
    "sound in a frame": (field_poked(Frame, "encoding", "B", 3), Reason.BAD_ENUM),
    "image in a sound": (field_poked(Audio, "encoding", "B", 0), Reason.BAD_ENUM),
    "no encoding in a sound": (absent(Audio, "", 3), Reason.BAD_ENUM),
    "unknown coding": (field_poked(Part, "coding", "B", 2), Reason.BAD_ENUM),
    "no width": (field_poked(Frame, "width_px", "I", 0), Reason.BAD_VALUE),
    "width absent": (absent(Frame, "", 1), Reason.BAD_VALUE),
    "no channels": (absent(Audio, "", 2), Reason.BAD_VALUE),
    "half a sample": (field_poked(Audio, "channels", "B", 3), Reason.BAD_VALUE),
    "quality over 100": (field_poked(Frame, "quality", "B", 101), Reason.BAD_VALUE),
    "raw pixels that do not fill the frame": (field_poked(Frame, "encoding", "B", 1), Reason.BAD_VALUE),
    "truth that is neither 0 nor 1": (field_poked(Telemetry, "throttled", "B", 2), Reason.BAD_VALUE),
    "roi of nan": (behind(Frame, "rois", "f", float("nan"), ahead=4), Reason.BAD_VALUE),
    "landmark of infinity": (
        behind(Result, "hands.0.landmarks", "f", float("inf"), ahead=4),
        Reason.BAD_VALUE,
    ),
    "presence over one": (field_poked(Result, "hands.0.presence", "f", 1.5), Reason.BAD_VALUE),
    "hand roi of infinity": (field_poked(Result, "hands.0.roi", "f", float("-inf")), Reason.BAD_VALUE),
    "fps of nan": (field_poked(Telemetry, "fps", "f", float("nan")), Reason.BAD_VALUE),
    "values of more hands than travel": (field_poked(Part, "subjects", "B", 65), Reason.BAD_VALUE),
    "values of nobody": (field_poked(Part, "subjects", "B", 0), Reason.BAD_VALUE),
    "flipped payload": (behind(Frame, "payload", "B", 0xA5, ahead=40), Reason.BAD_CHECKSUM),
    "flipped value": (behind(Part, "payload", "B", 0x7F, ahead=9), Reason.BAD_CHECKSUM),
    "no values": (absent(Part, "", 3), Reason.MISSING_FIELD),
    "flipped checksum": (field_poked(Ping, "header.payload_crc32", "I", 1), Reason.BAD_CHECKSUM),
    "checksum absent": (absent(Ping, "header", 11), Reason.BAD_CHECKSUM),
    "newer version": (field_poked(Frame, "header.schema_version", "H", 2), Reason.WRONG_SCHEMA_VERSION),
    "version absent": (absent(Frame, "header", 0), Reason.WRONG_SCHEMA_VERSION),
}


@pytest.mark.parametrize("name", CASES)
def test_broken_bytes_are_refused_with_their_reason(name):
    data, reason = CASES[name]
    with pytest.raises(MalformedMessage) as caught:
        decode(data)
    assert caught.value.reason is reason, caught.value


def test_the_cases_start_from_good_bytes():
    for data in BYTES.values():
        decode(data)


def test_every_reason_has_a_case():
    elsewhere = {Reason.BAD_DOCUMENT, Reason.WRONG_SENDER}  # tested below
    assert {reason for _, reason in CASES.values()} | elsewhere == set(Reason)


def test_a_bad_document_has_its_reason():
    with pytest.raises(MalformedMessage) as caught:
        parse_document(DevicePresence, b"{}")
    assert caught.value.reason is Reason.BAD_DOCUMENT


def test_every_length_short_of_the_whole_is_refused():
    for data in BYTES.values():
        for end in range(len(data)):
            try:
                decode(data[:end])
            except MalformedMessage:
                continue
            # only what lies behind the last used byte may be missing
            assert decode(data[:end]).header == decode(data).header
            assert len(data) - end < 8


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_end_in_a_reason(noise):
    with pytest.raises(MalformedMessage):
        decode(noise)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ROOTS)), st.binary(max_size=400))
def test_random_bytes_behind_a_good_identifier_end_in_a_reason(identifier, noise):
    with pytest.raises(MalformedMessage):
        decode(b"\x0c\0\0\0" + identifier + noise)


def test_every_site_of_every_message_set_to_every_extreme_ends_in_a_message_or_a_reason():
    refused = 0
    for data in BYTES.values():
        for site in anatomy_of(data).sites:
            for value in (0, 1, 256**site.size - 1, 256**site.size // 2):
                broken = bytearray(data)
                broken[site.at : site.at + site.size] = value.to_bytes(site.size, "little")
                try:
                    strategies.plain(decode(broken))
                except MalformedMessage:
                    refused += 1
    assert refused > 1000


def test_fields_of_a_newer_schema_are_ignored():
    """A vtable longer than ours: what flatc would write for a field that we do not know."""
    builder = flatbuffers.Builder(0)
    payload = builder.CreateByteVector(b"")
    header = _builder_header(builder)
    builder.StartObject(4)
    PingTable.AddHeader(builder, header)
    PingTable.AddPayload(builder, payload)
    builder.PrependUint32Slot(3, 77, 0)
    builder.Finish(builder.EndObject(), b"HWPI")
    assert decode(bytes(builder.Output())).header.frame_id == 7


def test_a_retired_field_of_an_older_writer_is_passed_over():
    """Whatever it points to: its id stays taken, and nobody follows it."""
    builder = flatbuffers.Builder(0)
    header = _builder_header(builder)
    TimingTable.Start(builder)
    timing = TimingTable.End(builder)
    builder.StartObject(8)
    ResultTable.AddHeader(builder, header)
    ResultTable.AddTiming(builder, timing)
    builder.PrependUint32Slot(6, 2**31, 0)  # where tensors were
    builder.Finish(builder.EndObject(), b"HWRE")
    result = decode(bytes(builder.Output()))
    assert (result.header.frame_id, result.part_subjects, bytes(result.part_payload)) == (7, 0, b"")


# the sender is the one in the topic

PRESENCE = DevicePresence(
    device="d-1", online=True, session=1, boot_id="0" * 32, device_class="x", software="1", sent_ms=1
)
WORKER = WorkerPresence(worker="w-1", online=True, session=1, boot_id="0" * 32, software="1", sent_ms=1)
LOAD = Load(
    worker="w-1",
    boot_id="0" * 32,
    queued=0,
    running=0,
    run_p50_us=0,
    run_p99_us=0,
    answered=0,
    refused=0,
    sent_ms=1,
)
DESIRED = Desired(device="w-1", epoch=1, version=1, sent_ms=1)
REPORTED = Reported(device="d-1", boot_id="0" * 32, sent_ms=1)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"device": "d-1"}, PRESENCE),
        ({"worker": "w-1"}, WORKER),
        ({"worker": "w-1"}, LOAD),
        ({"worker": "w-1"}, DESIRED),
        ({"device": "d-1"}, REPORTED),
        ({"client": "c-1"}, EnrolReply(accepted=True, device="d-9")),
        ({"device": "d-1", "worker": "w-1", "task": "hands"}, GOOD[Frame]),
        ({"device": "d-1"}, GOOD[Telemetry]),
    ],
)
def test_a_message_that_agrees_with_its_topic_is_accepted(ids, message):
    check_sender({"site": "s", **ids}, message)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"device": "d-2"}, PRESENCE),
        ({"worker": "w-2"}, WORKER),
        ({"worker": "w-2"}, LOAD),
        ({"worker": "w-2"}, DESIRED),
        ({"device": "d-2"}, REPORTED),
        ({"device": "d-1", "worker": "w-1", "task": "text"}, GOOD[Frame]),
    ],
)
def test_a_message_that_names_another_than_its_topic_is_malformed(ids, message):
    with pytest.raises(MalformedMessage) as caught:
        check_sender({"site": "s", **ids}, message)
    assert caught.value.reason is Reason.WRONG_SENDER
