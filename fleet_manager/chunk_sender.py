"""Shell of chunk sending: one thread that reads due chunks from disk and publishes them.

Chunks share the control road with commands, and the road sends in order: while more than a few chunks'
bytes wait there, no further chunk is handed over. That is the total rate; each receiver's own rate is kept
by the schedule.
"""

import threading
import time
from collections.abc import Callable

from fleet_manager.artifacts import ArtifactStore
from fleet_manager.chunks import ChunkOrder, ChunkSchedule
from fleet_manager.errors import FleetError
from observability import log
from observability.metrics import Registry
from schemas.documents import ChunkRequest
from schemas.topics import CHUNK_BYTES

NS = 1_000_000_000
MAX_BACKLOG_BYTES = 4 * CHUNK_BYTES
BACKLOG_POLL_S = 0.005  # up to 48 MB/s of chunks

_log = log.get("fleet_manager.chunks")


class ChunkSender:
    """Sends chunks at the pace their receivers asked for.

    ``publish(device, digest, n, data)`` must not block; False means that the road took nothing.
    ``backlog_bytes`` says how many bytes wait on the road.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        *,
        publish: Callable[[str, str, int, bytes], bool],
        backlog_bytes: Callable[[], int],
        metrics: Registry,
    ) -> None:
        self._metrics = metrics
        self._artifacts = artifacts
        self._publish = publish
        self._backlog_bytes = backlog_bytes
        self._schedule = ChunkSchedule()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="fleet-chunks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def request(self, device: str, wanted: ChunkRequest) -> None:
        """Queue what a device asks for.

        Raises:
            MalformedMessage: the request contradicts itself.
        """
        with self._changed:
            self._schedule.request(device, wanted, now_ns=time.monotonic_ns())
            self._changed.notify()

    def forget(self, device: str) -> None:
        """Drop what waits for a device that left."""
        with self._changed:
            self._schedule.forget(device)

    def close(self) -> None:
        """Stop; what waits is dropped, its receiver asks again."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (order := self._next()) is not None:
            self._send(order)

    def _next(self) -> ChunkOrder | None:
        with self._changed:
            while not self._closing:
                now_ns, next_ns = time.monotonic_ns(), self._schedule.next_ns()
                if next_ns is None:
                    self._changed.wait()
                elif next_ns > now_ns:
                    self._changed.wait((next_ns - now_ns) / NS)
                elif self._backlog_bytes() > MAX_BACKLOG_BYTES:
                    self._changed.wait(BACKLOG_POLL_S)
                else:
                    return self._schedule.due(now_ns=now_ns)
            return None

    def _send(self, order: ChunkOrder) -> None:
        try:
            data = self._artifacts.chunk(order.digest, order.n, chunk_bytes=CHUNK_BYTES)
        except (FleetError, OSError) as error:
            self._metrics.count("fleet_chunks_absent")
            _log.warning(
                "chunk_not_sent", device=order.device, digest=order.digest, n=order.n, error=str(error)
            )
            return
        if self._publish(order.device, order.digest, order.n, data):
            self._metrics.count("fleet_chunks_sent")
            self._metrics.count("fleet_chunk_bytes_sent", len(data))
        else:
            self._metrics.count("fleet_chunks_refused_by_road")  # its receiver asks again
