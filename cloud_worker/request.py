"""Vocabulary: one request that a worker has taken in, what became of it, and what a task computed.

No logic beyond arithmetic on the fields. Times are nanoseconds of the worker's monotonic clock.
"""

from dataclasses import dataclass

from inference.split.part_payload import NOTHING, PartPayload
from schemas.messages import (
    Audio,
    Detection,
    Frame,
    HandResult,
    Header,
    Part,
    RefusalReason,
    RoiBox,
    Task,
    TextLine,
)

Work = Frame | Part | Audio
TASK_WORDS: dict[str, Task] = {task.name.lower(): task for task in Task}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One message that asks for work. ``left_ns``: what remained of its budget when it was received."""

    device: str
    task_word: str  # as it stands in the topic, where the reply goes
    message: Work
    received_ns: int
    left_ns: int

    @property
    def header(self) -> Header:
        """The head of the message."""
        return self.message.header

    def left_at(self, now_ns: int) -> int:
        """Nanoseconds of the budget that remain at ``now_ns``; negative when it is over."""
        return self.left_ns - (now_ns - self.received_ns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refused:
    """A request that will get no result, and why."""

    request: Request
    reason: RefusalReason
    detail: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a task computed for one request; only the fields of its task are filled."""

    model_digest: bytes = bytes(32)
    decode_ns: int = 0
    run_ns: int = 0
    hands: tuple[HandResult, ...] = ()
    next_rois: tuple[RoiBox, ...] = ()
    detections: tuple[Detection, ...] = ()
    texts: tuple[TextLine, ...] = ()
    transcript: str = ""
    part: PartPayload = NOTHING
