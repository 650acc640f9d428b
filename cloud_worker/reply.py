"""Pure core: the one reply of a request, as a message. A result or a refusal, always one of them.

The reply's header echoes what names the request (boot, task, frame, capture time, placement, trace); its send
time is the worker's clock and its model digest the model that ran. A part that wants a brief reply gets no more
than tells its answer from every other: boot, task, frame, placement and how the digest of the model begins.
Bytes that could not be read have nothing to echo: their refusal carries the topic's task and zeros, so that
the headset can count it and no frame takes it for its own answer.
"""

from dataclasses import replace

from cloud_worker.request import TASK_WORDS, Answer, Refused, Request
from schemas.messages import (
    PART_MODEL_BYTES,
    Header,
    Part,
    Ping,
    Refusal,
    RefusalReason,
    Result,
    Task,
    Timing,
)

MAX_DETAIL_CHARS = 240


def result(
    request: Request, answer: Answer, *, started_ns: int, now_ns: int, span_id: bytes = bytes(8)
) -> Result:
    """The reply of a request that a task answered; ``started_ns`` is when its turn came."""
    full = Result(
        header=_echo(
            request.header,
            now_ns=now_ns,
            left_ns=request.left_at(now_ns),
            model_digest=answer.model_digest,
            span_id=span_id,
        ),
        timing=Timing(
            received_ns=request.received_ns,
            queue_us=max(0, started_ns - request.received_ns) // 1000,
            decode_us=answer.decode_ns // 1000,
            run_us=answer.run_ns // 1000,
        ),
        hands=answer.hands,
        next_rois=answer.next_rois,
        detections=answer.detections,
        texts=answer.texts,
        transcript=answer.transcript,
        part_subjects=answer.part.subjects,
        part_coding=answer.part.coding,
        part_payload=answer.part.payload,
    )
    wants_less = isinstance(request.message, Part) and request.message.brief_reply
    return _brief(full) if wants_less else full


def _brief(full: Result) -> Result:
    header = full.header
    left = replace(header, capture_ns=0, budget_us=0, model_digest=bytes(32), trace_id=bytes(16))
    return replace(full, header=left, part_model=header.model_digest[:PART_MODEL_BYTES])


def refusal(refused: Refused, *, now_ns: int, span_id: bytes = bytes(8)) -> Refusal:
    """The reply of a request that gets no result."""
    request = refused.request
    waited_us = max(0, now_ns - request.received_ns) // 1000
    return Refusal(
        header=_echo(request.header, now_ns=now_ns, left_ns=request.left_at(now_ns), span_id=span_id),
        timing=Timing(received_ns=request.received_ns, queue_us=waited_us),
        reason=refused.reason,
        detail=refused.detail[:MAX_DETAIL_CHARS],
        retry_after_ms=refused.retry_after_ms,
    )


def pong(ping: Ping, *, received_ns: int, now_ns: int, left_ns: int) -> Result:
    """The empty result that answers a ping."""
    return Result(
        header=_echo(ping.header, now_ns=now_ns, left_ns=left_ns), timing=Timing(received_ns=received_ns)
    )


def unreadable(
    task_word: str,
    *,
    reason: RefusalReason,
    detail: str,
    received_ns: int,
    now_ns: int,
) -> Refusal:
    """The reply to a message that breaks the contract: it echoes the topic's task and nothing else."""
    header = _nobody(task_word, now_ns=now_ns)
    timing = Timing(received_ns=received_ns)
    return Refusal(header=header, timing=timing, reason=reason, detail=detail[:MAX_DETAIL_CHARS])


def _echo(
    header: Header,
    *,
    now_ns: int,
    left_ns: int,
    model_digest: bytes = bytes(32),
    span_id: bytes = bytes(8),
) -> Header:
    return Header(
        boot_id=header.boot_id,
        task=header.task,
        frame_id=header.frame_id,
        capture_ns=header.capture_ns,
        send_ns=now_ns,
        budget_us=max(0, left_ns // 1000),
        placement_id=header.placement_id,
        model_digest=model_digest,
        trace_id=header.trace_id,
        span_id=span_id,
    )


def _nobody(task_word: str, *, now_ns: int) -> Header:
    return Header(
        boot_id=bytes(16),
        task=TASK_WORDS.get(task_word, Task.PING),
        frame_id=0,
        capture_ns=0,
        send_ns=now_ns,
        budget_us=0,
    )
