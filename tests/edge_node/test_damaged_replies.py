"""Replies whose bytes changed on the way and still can be read."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from edge_node.offload import FrameOut, Offloader
from schemas.codec import Encoder, decode
from schemas.messages import Result, Timing
from schemas.topics import topic

MS = 1_000_000
ON = topic("result", site="site-1", device="d-1", worker="w-1", task="hands")


class Desk:
    """An offloader that has two frames out."""

    def __init__(self):
        self.sent, self.replies = [], []
        self.offloader = Offloader(
            SimpleNamespace(publish=lambda _topic, payload, budget_ns: bool(self.sent.append(payload) or 1)),
            site="site-1",
            device="d-1",
            boot_id=b"\x01" * 16,
            deliver=self.replies.append,
            clock_ns=lambda: 70 * MS,
            new_span=lambda: bytes(8),
        )
        for frame_id in (4, 5):
            out = FrameOut(
                frame_id=frame_id,
                image=np.zeros((36, 64, 3), np.uint8),
                rois=(),
                capture_ns=frame_id * 33 * MS,
                deadline_ns=10**9,
                trace_id=bytes(16),
                quality=80,
                width_px=64,
            )
            self.offloader.send_frame(out, worker="w-1")

    def hear(self, header):
        payload = Encoder().encode(Result(header=header, timing=Timing(received_ns=1)))
        self.offloader.receive(SimpleNamespace(payload=payload, topic=ON, retain=False, received_ns=90 * MS))


def test_a_reply_whose_frame_id_was_damaged_answers_no_other_frame():
    desk = Desk()
    header = decode(desk.sent[0]).header
    desk.hear(replace(header, frame_id=5))
    assert desk.replies == []
    assert desk.offloader.counts["dropped_other_capture"] == 1
    desk.hear(decode(desk.sent[1]).header)
    desk.hear(header)
    assert [reply.frame_id for reply in desk.replies] == [5, 4], "whoever was asked may still answer"
