"""What a reply tells of the request it answers, in full and in brief."""

from dataclasses import replace

import pytest

from cloud_worker import reply
from cloud_worker.request import Answer, Refused
from inference.split.part_payload import PartPayload
from schemas.codec import Encoder, decode
from schemas.messages import PartCoding, RefusalReason
from tests.cloud_worker.builders import MS, part, request

DIGEST = bytes(range(32))
HEAD = {"frame_id": 2**40, "placement_id": 20 << 16 | 59, "model_digest": DIGEST}


def answered(message, *, coding=PartCoding.RAW, size=100):
    payload = PartPayload(subjects=1, coding=coding, payload=bytes(size))
    answer = Answer(model_digest=DIGEST, decode_ns=40_000, run_ns=7 * MS, part=payload)
    asked = request(message=message, received_ns=10**15)
    return reply.result(asked, answer, started_ns=10**15 + MS, now_ns=10**15 + 9 * MS, span_id=b"\xff" * 8)


def test_a_part_that_asks_for_no_brief_reply_gets_what_every_headset_reads():
    header = answered(part(**HEAD)).header
    assert (header.model_digest, header.capture_ns, header.budget_us) == (DIGEST, 123, 91_000)
    assert header.trace_id == bytes(range(16, 32))


def test_a_brief_reply_still_names_frame_placement_model_and_what_the_work_took():
    brief = decode(Encoder().encode(answered(replace(part(**HEAD), brief_reply=True))))
    full = decode(Encoder().encode(answered(part(**HEAD))))
    for name in ("boot_id", "task", "frame_id", "placement_id", "send_ns", "span_id"):
        assert getattr(brief.header, name) == getattr(full.header, name), name
    assert brief.part_model == DIGEST[:8]
    assert brief.timing == full.timing
    assert bytes(brief.part_payload) == bytes(full.part_payload)


@pytest.mark.parametrize("coding", PartCoding)
@pytest.mark.parametrize("size", [0, 1, 1344, 62_720])
def test_a_brief_reply_has_at_most_two_hundred_bytes_beside_the_values(coding, size):
    message = answered(replace(part(**HEAD), brief_reply=True), coding=coding, size=size)
    assert len(Encoder().encode(message)) - size <= 200


def test_a_refusal_is_never_brief():
    asked = request(message=replace(part(**HEAD), brief_reply=True))
    refused = Refused(request=asked, reason=RefusalReason.BUSY, detail="full")
    assert reply.refusal(refused, now_ns=0).header.capture_ns == 123
