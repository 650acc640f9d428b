"""Which replies to live tensors a headset takes: of workers of every version, of no other part than it asked for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge_node.offload import Offloader
from edge_node.replies import PartOut
from edge_node.workers import PartWanted
from inference.split.part_payload import PartPayload
from schemas.codec import Encoder, decode
from schemas.messages import PartCoding, Result, Timing
from schemas.topics import topic

MODEL = bytes(range(32))
WANTED = PartWanted(model=MODEL.hex(), kernel="e" * 64, placement_id=7)
VALUES = PartPayload(subjects=1, coding=PartCoding.RAW, payload=bytes(64))
ON = topic("result", site="site-1", device="d-1", worker="w-1", task="hands")


class Desk:
    """An offloader whose road keeps what is sent, and the replies it handed on."""

    def __init__(self):
        self.sent, self.replies = [], []
        self.offloader = Offloader(
            SimpleNamespace(publish=lambda _topic, payload, budget_ns: bool(self.sent.append(payload) or 1)),
            site="site-1",
            device="d-1",
            boot_id=b"\x01" * 16,
            deliver=self.replies.append,
            clock_ns=lambda: 5,
            new_span=lambda: bytes(8),
        )
        out = PartOut(
            frame_id=3, wanted=WANTED, live=VALUES, capture_ns=1, deadline_ns=10**9, trace_id=b"\x02" * 16
        )
        self.offloader.send_part(out, worker="w-1")
        self.asked = decode(self.sent[0])

    def full(self):
        """As workers answered before replies could be brief."""
        return Result(
            header=self.asked.header, timing=Timing(received_ns=1), part_subjects=1, part_payload=bytes(64)
        )

    def brief(self):
        header = replace(self.asked.header, capture_ns=0, budget_us=0, model_digest=bytes(32))
        return replace(self.full(), header=header, part_model=MODEL[:8])

    def hear(self, message):
        self.offloader.receive(
            SimpleNamespace(payload=Encoder().encode(message), topic=ON, retain=False, received_ns=9)
        )


@pytest.fixture
def desk():
    return Desk()


def test_live_tensors_ask_for_a_brief_reply_within_two_hundred_bytes(desk):
    assert desk.asked.brief_reply
    assert len(desk.sent[0]) - len(VALUES.payload) <= 200


@pytest.mark.parametrize("way", ["brief", "full"])
def test_full_and_brief_replies_to_a_part_are_taken_alike(desk, way):
    desk.hear(getattr(desk, way)())
    (reply,) = desk.replies
    assert (reply.model_digest, reply.wanted, reply.capture_ns) == (MODEL.hex(), WANTED, 1)
    assert bytes(reply.part.payload) == bytes(64)


def others(desk):
    yield replace(desk.brief(), part_model=b"\x09" * 8)
    yield replace(desk.brief(), part_model=bytes(8))
    yield replace(desk.brief(), header=replace(desk.brief().header, placement_id=8))
    yield replace(desk.full(), header=replace(desk.asked.header, model_digest=b"\x09" * 32))


@pytest.mark.parametrize("number", range(4))
def test_a_reply_of_another_model_or_placement_is_counted_and_dropped(desk, number):
    desk.hear(list(others(desk))[number])
    assert not desk.replies
    assert desk.offloader.counts["dropped_wrong_part"] == 1
