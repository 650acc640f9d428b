"""Pure core of chunk sending: which chunk goes to which device next, and when.

Per device: at most ``window`` chunks of a request, each queued once, spaced so that the device's stated
rate is kept. Bounded by ``MAX_PER_DEVICE``. Time is passed in; no bytes are read or sent here.
"""

import base64
import binascii
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.documents import ChunkRequest
from schemas.errors import MalformedMessage, Reason
from schemas.topics import CHUNK_BYTES

MAX_PER_DEVICE = 64
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOrder:
    """One chunk for one device."""

    device: str
    digest: str
    n: int


@dataclass(slots=True, kw_only=True)
class _Lane:
    waiting: dict[tuple[str, int], None] = field(default_factory=dict)  # in order of sending, each once
    interval_ns: int = 0
    free_ns: int = 0  # not before this the next chunk may leave


class ChunkSchedule:
    """What is still to be sent, to everybody."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._heap: list[tuple[int, str]] = []  # one entry per lane that has something waiting

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def request(self, device: str, wanted: ChunkRequest, *, now_ns: int) -> int:
        """Queue the first missing chunks of a request; says how many were new.

        Raises:
            MalformedMessage: the bitmap does not fit the number of chunks.
        """
        missing = missing_chunks(wanted)
        lane = self._lanes.setdefault(device, _Lane())
        lane.interval_ns = CHUNK_BYTES * NS // wanted.rate_bytes_per_s
        was_idle = not lane.waiting
        added = 0
        for _, n in zip(range(wanted.window), missing, strict=False):
            key = (wanted.digest, n)
            if key not in lane.waiting and len(lane.waiting) < MAX_PER_DEVICE:
                lane.waiting[key] = None
                added += 1
        if was_idle and lane.waiting:
            heapq.heappush(self._heap, (max(now_ns, lane.free_ns), device))
        return added

    def due(self, *, now_ns: int) -> ChunkOrder | None:
        """The chunk to send now, None when none is due."""
        if not self._heap or self._heap[0][0] > now_ns:
            return None
        _, device = heapq.heappop(self._heap)
        lane = self._lanes[device]
        digest, n = next(iter(lane.waiting))
        del lane.waiting[digest, n]
        lane.free_ns = now_ns + lane.interval_ns
        if lane.waiting:
            heapq.heappush(self._heap, (lane.free_ns, device))
        return ChunkOrder(device=device, digest=digest, n=n)

    def next_ns(self) -> int | None:
        """When the next chunk is due; None while nothing waits."""
        return self._heap[0][0] if self._heap else None

    def forget(self, device: str) -> None:
        """Drop what waits for a device that left."""
        self._lanes.pop(device, None)
        self._heap = [entry for entry in self._heap if entry[1] != device]
        heapq.heapify(self._heap)


def missing_chunks(wanted: ChunkRequest) -> Iterator[int]:
    """Numbers of the chunks that the request's bitmap marks as missing, ascending.

    Raises:
        MalformedMessage: not base64, or its length is not that of ``chunks`` bits.
    """
    try:
        bitmap = base64.b64decode(wanted.missing, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessage(Reason.BAD_DOCUMENT, f"ChunkRequest.missing: {error}") from error
    if len(bitmap) != -(-wanted.chunks // 8):
        raise MalformedMessage(
            Reason.BAD_DOCUMENT, f"ChunkRequest.missing has {len(bitmap)} bytes for {wanted.chunks} chunks"
        )
    return (n for n in range(wanted.chunks) if bitmap[n // 8] >> (n % 8) & 1)
