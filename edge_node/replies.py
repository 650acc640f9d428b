"""Vocabulary: what goes to a worker of a frame's live tensors, and what a worker says back of anything. No logic."""

from dataclasses import dataclass

from edge_node.workers import PartWanted
from inference.split.part_payload import PartPayload
from inference.tasks.hands import HandsResult
from schemas.messages import Task, Timing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartOut:
    """The live tensors of one frame for the part ``wanted``; with ``ask`` only a request to prove that part."""

    frame_id: int
    wanted: PartWanted
    live: PartPayload
    capture_ns: int
    deadline_ns: int
    trace_id: bytes
    ask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteReply:
    """A worker's word on one frame, part or ping.

    ``result`` is None for a refusal, whose reason is in ``refusal``, and for a part, whose ``part`` and ``wanted``
    are there instead. ``ask``: to a request to prove a part. ``timing`` and ``replied_ns`` are of the worker's clock.
    """

    task: Task
    frame_id: int
    worker: str
    received_ns: int
    rtt_ns: int
    capture_ns: int
    model_digest: str
    result: HandsResult | None
    refusal: str = ""
    detail: str = ""
    retry_after_ms: int = 0
    wanted: PartWanted | None = None
    part: PartPayload | None = None
    ask: bool = False
    asked: str = ""  # whom the request named: a pool, or this worker itself where it says nothing
    sent_ns: int = 0
    payload_bytes: int = 0
    result_bytes: int = 0
    timing: Timing | None = None
    replied_ns: int | None = None
