"""Vocabulary of the data plane: one frozen dataclass per FlatBuffer message.

No logic and no bytes live here: ``codec`` turns these into FlatBuffers and back, ``verify`` checks
received bytes first. Times are monotonic nanoseconds of the clock named; budgets are relative.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from numpy import generic
from numpy.typing import NDArray

SCHEMA_VERSION = 1
PART_MODEL_BYTES = 8

Payload = bytes | bytearray | memoryview


class Task(IntEnum):
    """What a message is about. The word in lower case is the topic's {task}."""

    PING = 0
    HANDS = 1
    DETECT = 2
    TEXT = 3
    SPEECH = 4


class Encoding(IntEnum):
    """How a frame's or an audio clip's payload is packed."""

    JPEG = 0
    RGB8 = 1
    GRAY8 = 2
    PCM_S16LE = 3


class PartCoding(IntEnum):
    """How the values in a part's payload are written."""

    RAW = 0
    PACKED = 1


class RefusalReason(IntEnum):
    """Why a worker did not compute a result."""

    MALFORMED = 0
    UNSUPPORTED_TASK = 1
    UNKNOWN_MODEL = 2
    UNKNOWN_PLACEMENT = 3
    UNDECODABLE = 4
    TOO_LARGE = 5
    BUSY = 6
    EXPIRED = 7
    DRAINING = 8
    INTERNAL = 9


class Mode(IntEnum):
    """Where a headset computes at the moment."""

    LOCAL = 0
    OFFLOAD = 1
    SPLIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Head of every data message.

    In a reply (result or refusal) ``boot_id``, ``task``, ``frame_id``, ``capture_ns``, ``placement_id``
    and ``trace_id`` echo the request; ``send_ns`` is the replier's clock and ``model_digest`` names the
    model that ran. A brief reply gives no capture time, budget, digest and trace. All-zero digests and trace ids mean
    "not given".
    """

    boot_id: bytes  # 16 bytes, new at every start of the sender's process
    task: Task
    frame_id: int
    capture_ns: int  # headset's clock, when the frame was scheduled
    send_ns: int  # sender's clock, when handed to the session
    budget_us: int  # left of the deadline at send_ns; 0 or less means already over
    placement_id: int = 0  # 0 = the whole task at the worker, else see ``placements``
    model_digest: bytes = bytes(32)
    trace_id: bytes = bytes(16)
    span_id: bytes = bytes(8)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiBox:
    """A rotated box in the frame: centre and size in fractions of width and height, angle in radians."""

    center_x: float
    center_y: float
    width: float
    height: float
    rotation_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One camera image, headset to worker. ``rois`` carry the headset's tracking state."""

    header: Header
    width_px: int
    height_px: int
    encoding: Encoding
    quality: int  # JPEG quality 1 to 100, 0 when not JPEG
    rois: tuple[RoiBox, ...] = ()
    payload: Payload = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The values that cross into the worker's part of a model, headset to worker.

    Which tensors, in what order, types and shapes is known from the header's model and placement. ``subjects`` says of
    how many hands; of none it is a request to prove the placement.
    """

    header: Header
    subjects: int = 0
    coding: PartCoding = PartCoding.RAW
    payload: Payload = b""
    brief_reply: bool = (
        False  # the sender can do with a reply whose header names boot, task, frame and placement alone
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """A clip of sound, headset to worker."""

    header: Header
    sample_rate_hz: int
    channels: int
    encoding: Encoding
    payload: Payload = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A probe of the way to a worker and back; answered with an empty result."""

    header: Header
    payload: Payload = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What a worker spent on one request, so that transport time can be told from work."""

    received_ns: int  # worker's clock
    queue_us: int = 0
    decode_us: int = 0
    run_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandResult:
    """One hand. ``landmarks`` is float32 (21, 3): x and y in fractions of the frame, z in the same unit as x."""

    landmarks: NDArray[generic]
    presence: float
    handedness: float  # probability that it is a left hand, taking the image for a mirrored one
    roi: RoiBox


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One box in fractions of the frame (left, top, right, bottom)."""

    class_id: int
    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """One line of text. ``corners`` is float32 (4, 2) in fractions of the frame, clockwise from top left."""

    text: str
    score: float
    corners: NDArray[generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A worker's answer. Only the fields of the header's task are filled, those of ``part_…`` as in ``Part``."""

    header: Header
    timing: Timing
    hands: tuple[HandResult, ...] = ()
    next_rois: tuple[RoiBox, ...] = ()
    detections: tuple[Detection, ...] = ()
    texts: tuple[TextLine, ...] = ()
    transcript: str = ""
    part_subjects: int = 0
    part_coding: PartCoding = PartCoding.RAW
    part_payload: Payload = b""
    part_model: bytes = bytes(PART_MODEL_BYTES)  # how the model's digest begins, in a brief reply only


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A worker's "no", always with the reason."""

    header: Header
    timing: Timing
    reason: RefusalReason
    detail: str = ""
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Frames of one telemetry window by outcome; the last four are exclusive and sum to ``scheduled``."""

    scheduled: int = 0
    captured: int = 0
    skipped: int = 0
    fresh_on_time: int = 0
    carried_on_time: int = 0
    late: int = 0
    none: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """How a headset fared in one window. ``header.frame_id`` counts the windows since boot."""

    header: Header
    wall_ms: int  # unix time at the end of the window
    window_ms: int
    mode: Mode
    fps: float
    outcomes: Outcomes = field(default_factory=Outcomes)
    answered_local: int = 0
    answered_offload: int = 0
    switches: int = 0
    host_late: int = 0
    latency_p50_us: int = 0
    latency_p99_us: int = 0
    age_p99_us: int = 0
    rtt_us: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    battery_fraction: float = 1.0
    temperature_c: float = 0.0
    throttled: bool = False
    simulated: bool = False
    worker: str = ""
    model: str = ""
    answered_split: int = 0
    wasted_runs: int = 0  # ended well, here or elsewhere, and did not answer their frame


DataMessage = Frame | Part | Audio | Ping | Result | Refusal | Telemetry
