"""The thread that sends chunks leaves room on the road for everything else."""

import base64
import hashlib
import threading

import pytest
from fleet_scene import eventually, make_package

from fleet_manager.artifacts import ArtifactStore
from fleet_manager.chunk_sender import MAX_BACKLOG_BYTES, ChunkSender
from fleet_manager.publication import take_in
from observability.metrics import Registry
from schemas.documents import ChunkRequest
from schemas.topics import CHUNK_BYTES

CHUNKS = 40
FAST = 1_000_000_000  # bytes per second: the receiver is never what is waited for


class JammedRoad:
    """Takes everything and sends nothing until it is told to."""

    def __init__(self):
        self.queued = []
        self.sent = []
        self.most_bytes = 0
        self.asked = threading.Semaphore(0)

    def publish(self, _device, _digest, n, data):
        self.queued.append((n, data))
        self.most_bytes = max(self.most_bytes, self.backlog_bytes())
        return True

    def backlog_bytes(self):
        return sum(len(data) for _, data in list(self.queued))

    def looked_at(self):
        self.asked.release()
        return self.backlog_bytes()

    def flow(self):
        """Send what waits."""
        self.sent += self.queued
        self.queued.clear()


@pytest.fixture
def digest_and_store(tmp_path):
    store = ArtifactStore(tmp_path / "artifacts")
    manifest, files = make_package(model=bytes(CHUNK_BYTES * CHUNKS))
    take_in(manifest, {digest: [data] for digest, data in files.items()}, artifacts=store, now_ms=1)
    return hashlib.sha256(bytes(CHUNK_BYTES * CHUNKS)).hexdigest(), store


def wanted(digest, *, chunks=CHUNKS):
    missing = base64.b64encode(b"\xff" * (chunks // 8)).decode()
    return ChunkRequest(digest=digest, chunks=chunks, missing=missing, window=32, rate_bytes_per_s=FAST)


def test_chunks_wait_while_a_few_of_them_wait_on_the_road_and_go_on_when_it_flows(digest_and_store):
    digest, store = digest_and_store
    road = JammedRoad()
    sender = ChunkSender(store, publish=road.publish, backlog_bytes=road.looked_at, metrics=Registry())
    sender.start()
    for device in ("hs-1", "hs-2", "hs-3"):
        sender.request(device, wanted(digest))
    eventually(lambda: road.backlog_bytes() > MAX_BACKLOG_BYTES)
    held = len(road.queued)
    for _ in range(held + 5):  # asked again and again, and every answer was too much
        assert road.asked.acquire(timeout=10)
    assert len(road.queued) == held == MAX_BACKLOG_BYTES // CHUNK_BYTES + 1

    def all_sent():
        road.flow()
        return len(road.sent) == 3 * 32

    eventually(all_sent)
    sender.close()
    assert road.most_bytes <= MAX_BACKLOG_BYTES + CHUNK_BYTES


def test_closing_does_not_wait_for_a_road_that_is_jammed(digest_and_store):
    digest, store = digest_and_store
    sender = ChunkSender(
        store, publish=JammedRoad().publish, backlog_bytes=lambda: MAX_BACKLOG_BYTES + 1, metrics=Registry()
    )
    sender.start()
    sender.request("hs-1", wanted(digest))
    sender.close()
