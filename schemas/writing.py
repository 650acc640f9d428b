"""Write a message into a FlatBuffers builder, one function per table. Core; used by ``codec`` only.

FlatBuffers are built from the leaves: strings, vectors and nested tables first, then the table itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import generic
from numpy.typing import NDArray

from schemas.checksum import payload_crc32
from schemas.errors import EncodeError
from schemas.generated import Audio as AudioTable
from schemas.generated import Detection as DetectionTable
from schemas.generated import Digest32 as Digest32Struct
from schemas.generated import Frame as FrameTable
from schemas.generated import HandResult as HandTable
from schemas.generated import Header as HeaderTable
from schemas.generated import Id16 as Id16Struct
from schemas.generated import Outcomes as OutcomesTable
from schemas.generated import Ping as PingTable
from schemas.generated import Refusal as RefusalTable
from schemas.generated import Result as ResultTable
from schemas.generated import RoiBox as RoiStruct
from schemas.generated import Telemetry as TelemetryTable
from schemas.generated import Tensor as TensorTable
from schemas.generated import TensorFrame as TensorFrameTable
from schemas.generated import TextLine as TextTable
from schemas.generated import Timing as TimingTable
from schemas.messages import (
    Audio,
    DataMessage,
    Detection,
    DType,
    Frame,
    HandResult,
    Header,
    Outcomes,
    Payload,
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

DTYPES: dict[str, DType] = {
    "<f4": DType.FLOAT32,
    "<f2": DType.FLOAT16,
    "|i1": DType.INT8,
    "|u1": DType.UINT8,
    "<i4": DType.INT32,
    "<i8": DType.INT64,
}
TENSOR_ALIGNMENT_BYTES = 16
ZERO16, ZERO32 = bytes(16), bytes(32)
Builder = Any  # flatbuffers.Builder, which has no types


def _words(value: bytes, count: int, name: str) -> list[int]:
    if len(value) != 8 * count:
        raise EncodeError(f"header.{name} has {len(value)} bytes, it must have {8 * count}")
    return [int.from_bytes(value[at : at + 8], "little") for at in range(0, 8 * count, 8)]


def _header(builder: Builder, header: Header, payloads: Sequence[Payload]) -> int:
    HeaderTable.Start(builder)
    HeaderTable.AddSchemaVersion(builder, header.schema_version)
    HeaderTable.AddBootId(builder, Id16Struct.CreateId16(builder, *_words(header.boot_id, 2, "boot_id")))
    HeaderTable.AddTask(builder, header.task)
    HeaderTable.AddFrameId(builder, header.frame_id)
    HeaderTable.AddCaptureNs(builder, header.capture_ns)
    HeaderTable.AddSendNs(builder, header.send_ns)
    HeaderTable.AddBudgetUs(builder, header.budget_us)
    HeaderTable.AddPlacementId(builder, header.placement_id)
    if header.model_digest != ZERO32:
        digest = _words(header.model_digest, 4, "model_digest")
        HeaderTable.AddModelDigest(builder, Digest32Struct.CreateDigest32(builder, *digest))
    if header.trace_id != ZERO16:
        trace = _words(header.trace_id, 2, "trace_id")
        HeaderTable.AddTraceId(builder, Id16Struct.CreateId16(builder, *trace))
    HeaderTable.AddSpanId(builder, _words(header.span_id, 1, "span_id")[0])
    HeaderTable.AddPayloadCrc32(builder, payload_crc32(payloads))
    return int(HeaderTable.End(builder))


def _timing(builder: Builder, timing: Timing) -> int:
    TimingTable.Start(builder)
    TimingTable.AddReceivedNs(builder, timing.received_ns)
    TimingTable.AddQueueUs(builder, timing.queue_us)
    TimingTable.AddDecodeUs(builder, timing.decode_us)
    TimingTable.AddRunUs(builder, timing.run_us)
    return int(TimingTable.End(builder))


def _bytes(builder: Builder, payload: Payload) -> int:
    plain = bytes(payload) if isinstance(payload, memoryview) else payload
    return int(builder.CreateByteVector(plain))


def _floats(builder: Builder, values: NDArray[generic]) -> int:
    return int(builder.CreateNumpyVector(np.ascontiguousarray(values, "<f4").reshape(-1)))


def _text(builder: Builder, text: str) -> int:
    """Offset of a string; 0, which means absent, for an empty one."""
    return int(builder.CreateString(text)) if text else 0


def _roi(builder: Builder, roi: RoiBox) -> int:
    return int(
        RoiStruct.CreateRoiBox(builder, roi.center_x, roi.center_y, roi.width, roi.height, roi.rotation_rad)
    )


def _rois(builder: Builder, start: Callable[[Builder, int], int], rois: Sequence[RoiBox]) -> int:
    if not rois:
        return 0
    start(builder, len(rois))
    for roi in reversed(rois):
        _roi(builder, roi)
    return int(builder.EndVector())


def _offsets(builder: Builder, start: Callable[[Builder, int], int], offsets: Sequence[int]) -> int:
    if not offsets:
        return 0
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _raw(tensor: Tensor) -> bytes:
    """The tensor's bytes in C order, little endian."""
    return tensor.data.astype(tensor.data.dtype.newbyteorder("<"), copy=False).tobytes()


def _tensor(builder: Builder, tensor: Tensor, raw: bytes) -> int:
    dtype = DTYPES.get(tensor.data.dtype.newbyteorder("<").str)
    if dtype is None:
        raise EncodeError(f"tensor {tensor.name!r} is {tensor.data.dtype}; the wire has {sorted(DTYPES)}")
    name = builder.CreateString(tensor.name)
    shape = int(builder.CreateNumpyVector(np.array(tensor.data.shape, "<u4"))) if tensor.data.ndim else 0
    builder.Prep(TENSOR_ALIGNMENT_BYTES, len(raw))
    data = builder.CreateByteVector(raw)
    TensorTable.Start(builder)
    TensorTable.AddName(builder, name)
    TensorTable.AddDtype(builder, dtype)
    TensorTable.AddShape(builder, shape)
    TensorTable.AddScale(builder, tensor.scale)
    TensorTable.AddZeroPoint(builder, tensor.zero_point)
    TensorTable.AddData(builder, data)
    return int(TensorTable.End(builder))


def _hand(builder: Builder, hand: HandResult) -> int:
    landmarks = _floats(builder, hand.landmarks)
    HandTable.Start(builder)
    HandTable.AddLandmarks(builder, landmarks)
    HandTable.AddPresence(builder, hand.presence)
    HandTable.AddHandedness(builder, hand.handedness)
    HandTable.AddRoi(builder, _roi(builder, hand.roi))
    return int(HandTable.End(builder))


def _detection(builder: Builder, detection: Detection) -> int:
    label = _text(builder, detection.label)
    DetectionTable.Start(builder)
    DetectionTable.AddClassId(builder, detection.class_id)
    DetectionTable.AddLabel(builder, label)
    DetectionTable.AddScore(builder, detection.score)
    DetectionTable.AddLeft(builder, detection.left)
    DetectionTable.AddTop(builder, detection.top)
    DetectionTable.AddRight(builder, detection.right)
    DetectionTable.AddBottom(builder, detection.bottom)
    return int(DetectionTable.End(builder))


def _text_line(builder: Builder, line: TextLine) -> int:
    text, corners = builder.CreateString(line.text), _floats(builder, line.corners)
    TextTable.Start(builder)
    TextTable.AddText(builder, text)
    TextTable.AddScore(builder, line.score)
    TextTable.AddCorners(builder, corners)
    return int(TextTable.End(builder))


def _frame(builder: Builder, frame: Frame) -> int:
    payload = _bytes(builder, frame.payload)
    rois = _rois(builder, FrameTable.StartRoisVector, frame.rois)
    header = _header(builder, frame.header, (frame.payload,))
    FrameTable.Start(builder)
    FrameTable.AddHeader(builder, header)
    FrameTable.AddWidthPx(builder, frame.width_px)
    FrameTable.AddHeightPx(builder, frame.height_px)
    FrameTable.AddEncoding(builder, frame.encoding)
    FrameTable.AddQuality(builder, frame.quality)
    FrameTable.AddRois(builder, rois)
    FrameTable.AddPayload(builder, payload)
    return int(FrameTable.End(builder))


def _tensor_frame(builder: Builder, frame: TensorFrame) -> int:
    raws = [_raw(tensor) for tensor in frame.tensors]
    written = [_tensor(builder, tensor, raw) for tensor, raw in zip(frame.tensors, raws, strict=True)]
    tensors = _offsets(builder, TensorFrameTable.StartTensorsVector, written)
    rois = _rois(builder, TensorFrameTable.StartRoisVector, frame.rois)
    header = _header(builder, frame.header, raws)
    TensorFrameTable.Start(builder)
    TensorFrameTable.AddHeader(builder, header)
    TensorFrameTable.AddTensors(builder, tensors)
    TensorFrameTable.AddRois(builder, rois)
    return int(TensorFrameTable.End(builder))


def _audio(builder: Builder, audio: Audio) -> int:
    payload = _bytes(builder, audio.payload)
    header = _header(builder, audio.header, (audio.payload,))
    AudioTable.Start(builder)
    AudioTable.AddHeader(builder, header)
    AudioTable.AddSampleRateHz(builder, audio.sample_rate_hz)
    AudioTable.AddChannels(builder, audio.channels)
    AudioTable.AddEncoding(builder, audio.encoding)
    AudioTable.AddPayload(builder, payload)
    return int(AudioTable.End(builder))


def _ping(builder: Builder, ping: Ping) -> int:
    payload = _bytes(builder, ping.payload)
    header = _header(builder, ping.header, (ping.payload,))
    PingTable.Start(builder)
    PingTable.AddHeader(builder, header)
    PingTable.AddPayload(builder, payload)
    return int(PingTable.End(builder))


def _result(builder: Builder, result: Result) -> int:
    raws = [_raw(tensor) for tensor in result.tensors]
    written = [_tensor(builder, tensor, raw) for tensor, raw in zip(result.tensors, raws, strict=True)]
    tensors = _offsets(builder, ResultTable.StartTensorsVector, written)
    hands = _offsets(builder, ResultTable.StartHandsVector, [_hand(builder, h) for h in result.hands])
    boxes = [_detection(builder, detection) for detection in result.detections]
    detections = _offsets(builder, ResultTable.StartDetectionsVector, boxes)
    texts = _offsets(builder, ResultTable.StartTextsVector, [_text_line(builder, t) for t in result.texts])
    next_rois = _rois(builder, ResultTable.StartNextRoisVector, result.next_rois)
    transcript = _text(builder, result.transcript)
    timing = _timing(builder, result.timing)
    header = _header(builder, result.header, raws)
    ResultTable.Start(builder)
    ResultTable.AddHeader(builder, header)
    ResultTable.AddTiming(builder, timing)
    ResultTable.AddHands(builder, hands)
    ResultTable.AddNextRois(builder, next_rois)
    ResultTable.AddDetections(builder, detections)
    ResultTable.AddTexts(builder, texts)
    ResultTable.AddTensors(builder, tensors)
    ResultTable.AddTranscript(builder, transcript)
    return int(ResultTable.End(builder))


def _refusal(builder: Builder, refusal: Refusal) -> int:
    detail = _text(builder, refusal.detail)
    timing = _timing(builder, refusal.timing)
    header = _header(builder, refusal.header, ())
    RefusalTable.Start(builder)
    RefusalTable.AddHeader(builder, header)
    RefusalTable.AddTiming(builder, timing)
    RefusalTable.AddReason(builder, refusal.reason)
    RefusalTable.AddDetail(builder, detail)
    RefusalTable.AddRetryAfterMs(builder, refusal.retry_after_ms)
    return int(RefusalTable.End(builder))


def _outcomes(builder: Builder, outcomes: Outcomes) -> int:
    OutcomesTable.Start(builder)
    OutcomesTable.AddScheduled(builder, outcomes.scheduled)
    OutcomesTable.AddCaptured(builder, outcomes.captured)
    OutcomesTable.AddSkipped(builder, outcomes.skipped)
    OutcomesTable.AddFreshOnTime(builder, outcomes.fresh_on_time)
    OutcomesTable.AddCarriedOnTime(builder, outcomes.carried_on_time)
    OutcomesTable.AddLate(builder, outcomes.late)
    OutcomesTable.AddNoAnswer(builder, outcomes.none)
    return int(OutcomesTable.End(builder))


def _telemetry(builder: Builder, telemetry: Telemetry) -> int:
    worker, model = _text(builder, telemetry.worker), _text(builder, telemetry.model)
    outcomes = _outcomes(builder, telemetry.outcomes)
    header = _header(builder, telemetry.header, ())
    TelemetryTable.Start(builder)
    TelemetryTable.AddHeader(builder, header)
    TelemetryTable.AddWallMs(builder, telemetry.wall_ms)
    TelemetryTable.AddWindowMs(builder, telemetry.window_ms)
    TelemetryTable.AddMode(builder, telemetry.mode)
    TelemetryTable.AddFps(builder, telemetry.fps)
    TelemetryTable.AddOutcomes(builder, outcomes)
    TelemetryTable.AddAnsweredLocal(builder, telemetry.answered_local)
    TelemetryTable.AddAnsweredOffload(builder, telemetry.answered_offload)
    TelemetryTable.AddSwitches(builder, telemetry.switches)
    TelemetryTable.AddHostLate(builder, telemetry.host_late)
    TelemetryTable.AddLatencyP50Us(builder, telemetry.latency_p50_us)
    TelemetryTable.AddLatencyP99Us(builder, telemetry.latency_p99_us)
    TelemetryTable.AddAgeP99Us(builder, telemetry.age_p99_us)
    TelemetryTable.AddRttUs(builder, telemetry.rtt_us)
    TelemetryTable.AddUplinkBytes(builder, telemetry.uplink_bytes)
    TelemetryTable.AddDownlinkBytes(builder, telemetry.downlink_bytes)
    TelemetryTable.AddBatteryFraction(builder, telemetry.battery_fraction)
    TelemetryTable.AddTemperatureC(builder, telemetry.temperature_c)
    TelemetryTable.AddThrottled(builder, telemetry.throttled)
    TelemetryTable.AddSimulated(builder, telemetry.simulated)
    TelemetryTable.AddWorker(builder, worker)
    TelemetryTable.AddModel(builder, model)
    return int(TelemetryTable.End(builder))


WRITERS: dict[type[DataMessage], Callable[[Builder, Any], int]] = {
    Frame: _frame,
    TensorFrame: _tensor_frame,
    Audio: _audio,
    Ping: _ping,
    Result: _result,
    Refusal: _refusal,
    Telemetry: _telemetry,
}
