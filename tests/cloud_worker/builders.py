"""Requests and messages for this room's tests."""

import cv2
import numpy as np

from cloud_worker.request import Request, Work
from schemas.messages import Encoding, Frame, Header, Part, Payload, RoiBox, Task

BOOT = bytes(range(16))
MS = 1_000_000


def header(
    *,
    frame_id: int = 1,
    task: Task = Task.HANDS,
    budget_us: int = 100_000,
    send_ns: int = 0,
    placement_id: int = 0,
    model_digest: bytes = bytes(32),
    boot_id: bytes = BOOT,
) -> Header:
    return Header(
        boot_id=boot_id,
        task=task,
        frame_id=frame_id,
        capture_ns=123,
        send_ns=send_ns,
        budget_us=budget_us,
        placement_id=placement_id,
        model_digest=model_digest,
        trace_id=bytes(range(16, 32)),
        span_id=bytes(range(8)),
    )


def jpeg(width: int = 64, height: int = 48) -> bytes:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = (200, 120, 40)
    return cv2.imencode(".jpg", image)[1].tobytes()


def frame(
    *,
    payload: Payload | None = None,
    width: int = 64,
    height: int = 48,
    encoding: Encoding = Encoding.JPEG,
    rois: tuple[RoiBox, ...] = (),
    **head: object,
) -> Frame:
    return Frame(
        header=header(**head),
        width_px=width,
        height_px=height,
        encoding=encoding,
        quality=80 if encoding is Encoding.JPEG else 0,
        rois=rois,
        payload=jpeg(width, height) if payload is None else payload,
    )


def part(**head: object) -> Part:
    return Part(header=header(**head), subjects=1, payload=bytes(16))


def request(
    device: str = "h-1",
    *,
    message: Work | None = None,
    received_ns: int = 0,
    left_ns: int = 100 * MS,
    **head: object,
) -> Request:
    message = message or frame(**head)
    return Request(
        device=device,
        task_word=message.header.task.name.lower(),
        message=message,
        received_ns=received_ns,
        left_ns=left_ns,
    )
