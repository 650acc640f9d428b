"""Vocabulary: the field layouts of the .fbs files as data, and what each field may hold.

``verify`` walks these tables and nothing else, so a field that is not here is never read. Row ``n`` of a
layout is the field with id ``n``; ``type`` is the word in the .fbs file; a test compares both. Limits
that FlatBuffers cannot say (counts, lengths, ranges) stand here only.
"""

from dataclasses import dataclass
from enum import IntEnum

from schemas.messages import Encoding, Mode, PartCoding, RefusalReason, Task

FLOAT_MAX = 3.4028234663852886e38  # of float32; a bound that neither infinity nor NaN passes
MAX_PAYLOAD_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 3  # tables in tables, counted from the root: what bounds the walk; a test holds the layouts to it

# word in the .fbs file -> struct format (little endian) and bytes
SCALARS: dict[str, tuple[str, int]] = {
    "bool": ("B", 1),
    "ubyte": ("B", 1),
    "ushort": ("H", 2),
    "int": ("i", 4),
    "uint": ("I", 4),
    "long": ("q", 8),
    "ulong": ("Q", 8),
    "float": ("f", 4),
}
STRUCTS: dict[str, tuple[str, int]] = {
    "Id8": ("8s", 8),
    "Id16": ("16s", 16),
    "Digest32": ("32s", 32),
    "RoiBox": ("5f", 20),
}
ENUMS: dict[str, type[IntEnum]] = {
    "Task": Task,
    "Encoding": Encoding,
    "PartCoding": PartCoding,
    "RefusalReason": RefusalReason,
    "Mode": Mode,
}
# tables of the .fbs files that no one writes or reads any more
RETIRED = frozenset({"Tensor", "TensorFrame"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``low``/``high`` bound a scalar's value; ``least``/``most`` bound a vector's or string's length."""

    name: str
    type: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    least: int = 0
    most: int = 0
    allowed: tuple[IntEnum, ...] | None = None  # of an enum; None = every member
    checksummed: bool = False
    align: int = 4  # of a payload's first byte in the message
    retired: bool = False  # its id stays taken; never written, never looked at
    sparse: bool = False  # not written where it holds nothing: zero, no items


@dataclass(frozen=True, slots=True)
class Layout:
    """One table: its fields by id."""

    name: str
    fields: tuple[Field, ...]


def _fraction(name: str) -> Field:
    return Field(name, "float", low=0.0, high=1.0)


def _payload(name: str, *, required: bool = True, align: int = 4) -> Field:
    most = MAX_PAYLOAD_BYTES
    return Field(
        name, "[ubyte]", required=required, most=most, checksummed=True, align=align, sparse=not required
    )


_HEADER = Field("header", "Header", required=True)
_TIMING = Field("timing", "Timing", required=True)
_ROIS = 64
_SUBJECTS = 64
_VALUES_ALIGN = 16  # so that whatever a tensor's type, a view of its bytes may be used as they came
_IMAGES = (Encoding.JPEG, Encoding.RGB8, Encoding.GRAY8)

# fmt: off
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (
    Layout("Header", (
        Field("schema_version", "ushort"),  # judged with the header, before the rest of the message
        Field("boot_id", "Id16", required=True),
        Field("task", "Task"),
        Field("frame_id", "ulong"),
        Field("capture_ns", "long", sparse=True),
        Field("send_ns", "long"),
        Field("budget_us", "int", sparse=True),
        Field("placement_id", "uint"),
        Field("model_digest", "Digest32", sparse=True),
        Field("trace_id", "Id16", sparse=True),
        Field("span_id", "Id8", sparse=True),
        Field("payload_crc32", "uint"),
    )),
    Layout("Timing", (
        Field("received_ns", "long"),
        Field("queue_us", "uint"),
        Field("decode_us", "uint"),
        Field("run_us", "uint"),
    )),
    Layout("Frame", (
        _HEADER,
        Field("width_px", "uint", low=1, high=16_384),
        Field("height_px", "uint", low=1, high=16_384),
        Field("encoding", "Encoding", allowed=_IMAGES),
        Field("quality", "ubyte", high=100),
        Field("rois", "[RoiBox]", most=_ROIS),
        _payload("payload"),
    )),
    Layout("Part", (
        _HEADER,
        Field("subjects", "ubyte", high=_SUBJECTS),
        Field("coding", "PartCoding"),
        _payload("payload", align=_VALUES_ALIGN),
        Field("brief_reply", "bool", high=1),
    )),
    Layout("Audio", (
        _HEADER,
        Field("sample_rate_hz", "uint", low=1000, high=384_000),
        Field("channels", "ubyte", low=1, high=32),
        Field("encoding", "Encoding", allowed=(Encoding.PCM_S16LE,)),
        _payload("payload"),
    )),
    Layout("Ping", (_HEADER, _payload("payload"))),
    Layout("HandResult", (
        Field("landmarks", "[float]", required=True, least=63, most=63),
        _fraction("presence"),
        _fraction("handedness"),
        Field("roi", "RoiBox", required=True),
    )),
    Layout("Detection", (
        Field("class_id", "int"),
        Field("label", "string", most=128),
        _fraction("score"),
        Field("left", "float"),
        Field("top", "float"),
        Field("right", "float"),
        Field("bottom", "float"),
    )),
    Layout("TextLine", (
        Field("text", "string", required=True, most=4096),
        _fraction("score"),
        Field("corners", "[float]", required=True, least=8, most=8),
    )),
    Layout("Result", (
        _HEADER,
        _TIMING,
        Field("hands", "[HandResult]", most=16, sparse=True),
        Field("next_rois", "[RoiBox]", most=_ROIS, sparse=True),
        Field("detections", "[Detection]", most=512, sparse=True),
        Field("texts", "[TextLine]", most=512, sparse=True),
        Field("tensors", "[Tensor]", retired=True),
        Field("transcript", "string", most=16_384, sparse=True),
        Field("part_subjects", "ubyte", high=_SUBJECTS, sparse=True),
        Field("part_coding", "PartCoding", sparse=True),
        _payload("part_payload", required=False, align=_VALUES_ALIGN),
        Field("part_model", "Id8", sparse=True),
    )),
    Layout("Refusal", (
        _HEADER,
        _TIMING,
        Field("reason", "RefusalReason"),
        Field("detail", "string", most=1024),
        Field("retry_after_ms", "uint"),
    )),
    Layout("Outcomes", tuple(
        Field(name, "uint")
        for name in ("scheduled", "captured", "skipped", "fresh_on_time", "carried_on_time", "late", "no_answer")
    )),
    Layout("Telemetry", (
        _HEADER,
        Field("wall_ms", "ulong"),
        Field("window_ms", "uint"),
        Field("mode", "Mode"),
        Field("fps", "float", low=0.0, high=10_000.0),
        Field("outcomes", "Outcomes", required=True),
        Field("answered_local", "uint"),
        Field("answered_offload", "uint"),
        Field("switches", "uint"),
        Field("host_late", "uint"),
        Field("latency_p50_us", "uint"),
        Field("latency_p99_us", "uint"),
        Field("age_p99_us", "uint"),
        Field("rtt_us", "uint"),
        Field("uplink_bytes", "ulong"),
        Field("downlink_bytes", "ulong"),
        _fraction("battery_fraction"),
        Field("temperature_c", "float", low=-273.15, high=1000.0),
        Field("throttled", "bool", high=1),
        Field("simulated", "bool", high=1),
        Field("worker", "string", most=64),
        Field("model", "string", most=128),
        Field("answered_split", "uint"),
        Field("wasted_runs", "uint"),
    )),
)}

# file identifier -> (root table, stream that carries it)
ROOTS: dict[bytes, tuple[str, str]] = {
    b"HWFR": ("Frame", "infer"),
    b"HWPT": ("Part", "infer"),
    b"HWAU": ("Audio", "infer"),
    b"HWPI": ("Ping", "infer"),
    b"HWRE": ("Result", "result"),
    b"HWRF": ("Refusal", "result"),
    b"HWTM": ("Telemetry", "telemetry"),
}
# fmt: on
IDENTIFIERS: dict[str, bytes] = {root: identifier for identifier, (root, _) in ROOTS.items()}
