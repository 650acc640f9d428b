"""Pure core: workers are asked to prove placements, one request at a time: its refusal says when to ask again.

An ask goes under no frame's id, because a worker takes a second request of one id for a copy of the first. It takes the
headset's place in line there, so it waits for a moment when nothing else of this headset is out, though not for ever.
Where several placements wait to be proved, they are asked for in turn. Times are passed in.
"""

from collections.abc import Sequence
from typing import Protocol

from edge_node.flight import Flight
from edge_node.jobs import Engine
from edge_node.replies import PartOut, RemoteReply
from edge_node.workers import PartWanted, WorkerBook
from inference.split.part_payload import NOTHING

NS_PER_MS = 1_000_000
ASK_AGAIN_NS = 500_000_000  # at least so long between two asks
PATIENCE_NS = 2_000_000_000  # for a moment when nothing else is out
FIRST_ID = 1 << 62  # frames count from 0
FINAL = frozenset({"unknown_placement", "unknown_model", "unsupported_task"})


class AskPort(Protocol):
    """What carries asks."""

    def send_part(self, out: PartOut, *, worker: str) -> int:
        """Ask for a placement; the bytes, 0 where it could not be put on the way."""


class ProofAsks:
    """The asks of one headset."""

    def __init__(self, port: AskPort, *, workers: WorkerBook) -> None:
        self._port, self._workers = port, workers
        self._next_ns = 0
        self._next_id = FIRST_ID

    def use(self) -> None:
        """Another configuration holds: ask at once."""
        self._next_ns = 0

    def is_due(self, *, now_ns: int, others_out: bool) -> bool:
        """Whether to ask now; ``others_out``: replies to other requests of this headset are awaited."""
        return now_ns >= self._next_ns + (PATIENCE_NS if others_out else 0)

    def send(self, flight: Flight, unproved: Sequence[tuple[Engine, str]], *, now_ns: int) -> bool:
        """Ask for one of these, engines at their cuts and whom to ask; whether something was put on the way."""
        engine, worker = unproved[self._next_id % len(unproved)]
        wanted = part_wanted(engine)
        self._next_ns = now_ns + ASK_AGAIN_NS
        if wanted is None:
            return False
        out = PartOut(
            frame_id=self._next_id,
            wanted=wanted,
            live=NOTHING,
            capture_ns=flight.scheduled_ns,
            # it needs no answer in the frame's time, and one that came late must not be dropped unread
            deadline_ns=now_ns + ASK_AGAIN_NS,
            trace_id=flight.trace_id,
            ask=True,
        )
        self._next_id += 1
        return self._port.send_part(out, worker=worker) > 0

    def hear(self, reply: RemoteReply, *, now_ns: int) -> None:
        """Learn from the refusal of an ask: to wait for the presence, or that it will never come."""
        self._next_ns = now_ns + max(ASK_AGAIN_NS, reply.retry_after_ms * NS_PER_MS)
        if reply.refusal not in FINAL or reply.wanted is None:
            return
        note = self._workers.delay if reply.retry_after_ms else self._workers.decline
        note(reply.worker, reply.wanted, reply.detail)


def part_wanted(engine: Engine) -> PartWanted | None:
    """The worker's part of an engine that was cut; None of one that was not."""
    if engine.parts is None:
        return None
    return PartWanted(model=engine.digest, kernel=engine.kernel, placement_id=engine.parts.placement.id)
