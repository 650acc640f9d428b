"""Read a verified message through the generated accessors, one function per table. Core; used by ``codec`` only.

Every function here trusts its bytes: only ``codec.decode`` may call them, after ``verify``. Payloads and
tensors are views of the received buffer, not copies.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import generic
from numpy.typing import NDArray

from schemas.generated.Audio import Audio as AudioTable
from schemas.generated.Frame import Frame as FrameTable
from schemas.generated.Ping import Ping as PingTable
from schemas.generated.Refusal import Refusal as RefusalTable
from schemas.generated.Result import Result as ResultTable
from schemas.generated.Telemetry import Telemetry as TelemetryTable
from schemas.generated.TensorFrame import TensorFrame as TensorFrameTable
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
    Ping,
    Refusal,
    RefusalReason,
    Result,
    RoiBox,
    Task,
    Telemetry,
    Tensor,
    TensorFrame,
    TextLine,
    Timing,
)
from schemas.writing import DTYPES

NUMPY_TYPES: dict[int, np.dtype[Any]] = {int(dtype): np.dtype(text) for text, dtype in DTYPES.items()}
Table = Any  # a generated accessor, which has no types


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


def _id16(words: Table) -> bytes:
    return bytes(16) if words is None else _words(words.Low(), words.High())


def _digest(words: Table) -> bytes:
    return bytes(32) if words is None else _words(words.A(), words.B(), words.C(), words.D())


def _header(table: Table) -> Header:
    return Header(
        schema_version=table.SchemaVersion(),
        boot_id=_id16(table.BootId()),
        task=Task(table.Task()),
        frame_id=table.FrameId(),
        capture_ns=table.CaptureNs(),
        send_ns=table.SendNs(),
        budget_us=table.BudgetUs(),
        placement_id=table.PlacementId(),
        model_digest=_digest(table.ModelDigest()),
        trace_id=_id16(table.TraceId()),
        span_id=_words(table.SpanId()),
    )


def _timing(table: Table) -> Timing:
    return Timing(
        received_ns=table.ReceivedNs(),
        queue_us=table.QueueUs(),
        decode_us=table.DecodeUs(),
        run_us=table.RunUs(),
    )


def _text(raw: bytes | None) -> str:
    return raw.decode() if raw else ""


def _payload(table: Table) -> memoryview:
    return memoryview(table.PayloadAsNumpy())


def _roi(box: Table) -> RoiBox:
    return RoiBox(
        center_x=box.CenterX(),
        center_y=box.CenterY(),
        width=box.Width(),
        height=box.Height(),
        rotation_rad=box.RotationRad(),
    )


def _tensor(table: Table) -> Tensor:
    shape: NDArray[generic] | tuple[()] = () if table.ShapeIsNone() else table.ShapeAsNumpy()
    data = table.DataAsNumpy().view(NUMPY_TYPES[table.Dtype()])
    return Tensor(
        name=_text(table.Name()),
        data=data.reshape(tuple(int(size) for size in shape)),
        scale=table.Scale(),
        zero_point=table.ZeroPoint(),
    )


def _hand(table: Table) -> HandResult:
    return HandResult(
        landmarks=table.LandmarksAsNumpy().reshape(21, 3),
        presence=table.Presence(),
        handedness=table.Handedness(),
        roi=_roi(table.Roi()),
    )


def _detection(table: Table) -> Detection:
    return Detection(
        class_id=table.ClassId(),
        label=_text(table.Label()),
        score=table.Score(),
        left=table.Left(),
        top=table.Top(),
        right=table.Right(),
        bottom=table.Bottom(),
    )


def _text_line(table: Table) -> TextLine:
    return TextLine(
        text=_text(table.Text()), score=table.Score(), corners=table.CornersAsNumpy().reshape(4, 2)
    )


def _frame(buffer: Any) -> Frame:
    table = FrameTable.GetRootAs(buffer)
    return Frame(
        header=_header(table.Header()),
        width_px=table.WidthPx(),
        height_px=table.HeightPx(),
        encoding=Encoding(table.Encoding()),
        quality=table.Quality(),
        rois=tuple(_roi(table.Rois(at)) for at in range(table.RoisLength())),
        payload=_payload(table),
    )


def _tensor_frame(buffer: Any) -> TensorFrame:
    table = TensorFrameTable.GetRootAs(buffer)
    return TensorFrame(
        header=_header(table.Header()),
        tensors=tuple(_tensor(table.Tensors(at)) for at in range(table.TensorsLength())),
        rois=tuple(_roi(table.Rois(at)) for at in range(table.RoisLength())),
    )


def _audio(buffer: Any) -> Audio:
    table = AudioTable.GetRootAs(buffer)
    return Audio(
        header=_header(table.Header()),
        sample_rate_hz=table.SampleRateHz(),
        channels=table.Channels(),
        encoding=Encoding(table.Encoding()),
        payload=_payload(table),
    )


def _ping(buffer: Any) -> Ping:
    table = PingTable.GetRootAs(buffer)
    return Ping(header=_header(table.Header()), payload=_payload(table))


def _result(buffer: Any) -> Result:
    table = ResultTable.GetRootAs(buffer)
    return Result(
        header=_header(table.Header()),
        timing=_timing(table.Timing()),
        hands=tuple(_hand(table.Hands(at)) for at in range(table.HandsLength())),
        next_rois=tuple(_roi(table.NextRois(at)) for at in range(table.NextRoisLength())),
        detections=tuple(_detection(table.Detections(at)) for at in range(table.DetectionsLength())),
        texts=tuple(_text_line(table.Texts(at)) for at in range(table.TextsLength())),
        tensors=tuple(_tensor(table.Tensors(at)) for at in range(table.TensorsLength())),
        transcript=_text(table.Transcript()),
    )


def _refusal(buffer: Any) -> Refusal:
    table = RefusalTable.GetRootAs(buffer)
    return Refusal(
        header=_header(table.Header()),
        timing=_timing(table.Timing()),
        reason=RefusalReason(table.Reason()),
        detail=_text(table.Detail()),
        retry_after_ms=table.RetryAfterMs(),
    )


def _outcomes(table: Table) -> Outcomes:
    return Outcomes(
        scheduled=table.Scheduled(),
        captured=table.Captured(),
        skipped=table.Skipped(),
        fresh_on_time=table.FreshOnTime(),
        carried_on_time=table.CarriedOnTime(),
        late=table.Late(),
        none=table.NoAnswer(),
    )


def _telemetry(buffer: Any) -> Telemetry:
    table = TelemetryTable.GetRootAs(buffer)
    return Telemetry(
        header=_header(table.Header()),
        wall_ms=table.WallMs(),
        window_ms=table.WindowMs(),
        mode=Mode(table.Mode()),
        fps=table.Fps(),
        outcomes=_outcomes(table.Outcomes()),
        answered_local=table.AnsweredLocal(),
        answered_offload=table.AnsweredOffload(),
        switches=table.Switches(),
        host_late=table.HostLate(),
        latency_p50_us=table.LatencyP50Us(),
        latency_p99_us=table.LatencyP99Us(),
        age_p99_us=table.AgeP99Us(),
        rtt_us=table.RttUs(),
        uplink_bytes=table.UplinkBytes(),
        downlink_bytes=table.DownlinkBytes(),
        battery_fraction=table.BatteryFraction(),
        temperature_c=table.TemperatureC(),
        throttled=bool(table.Throttled()),
        simulated=bool(table.Simulated()),
        worker=_text(table.Worker()),
        model=_text(table.Model()),
    )


READERS: dict[str, Callable[[Any], DataMessage]] = {
    "Frame": _frame,
    "TensorFrame": _tensor_frame,
    "Audio": _audio,
    "Ping": _ping,
    "Result": _result,
    "Refusal": _refusal,
    "Telemetry": _telemetry,
}
