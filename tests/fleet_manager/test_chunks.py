"""Which chunk goes to whom, and when."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_manager.chunks import MAX_PER_DEVICE, NS, ChunkSchedule, missing_chunks
from schemas.documents import ChunkRequest
from schemas.errors import MalformedMessage
from schemas.topics import CHUNK_BYTES

DIGEST = "0" * 64


def ask(missing, *, chunks=100, window=8, rate=CHUNK_BYTES * 10, digest=DIGEST) -> ChunkRequest:
    bitmap = bytearray(-(-chunks // 8))
    for n in missing:
        bitmap[n // 8] |= 1 << n % 8
    return ChunkRequest(
        digest=digest,
        chunks=chunks,
        missing=base64.b64encode(bytes(bitmap)).decode(),
        window=window,
        rate_bytes_per_s=rate,
    )


def drain(schedule: ChunkSchedule, *, now_ns: int = 0) -> list[tuple[int, str, int]]:
    sent = []
    while (next_ns := schedule.next_ns()) is not None:
        now_ns = max(now_ns, next_ns)
        order = schedule.due(now_ns=now_ns)
        sent.append((now_ns, order.device, order.n))
    return sent


def test_a_request_is_answered_with_its_first_missing_chunks_up_to_the_window():
    schedule = ChunkSchedule()
    assert schedule.request("hs-1", ask(range(3, 50), window=4), now_ns=0) == 4
    assert [n for _, _, n in drain(schedule)] == [3, 4, 5, 6]


def test_chunks_are_spaced_at_the_requests_rate():
    schedule = ChunkSchedule()
    schedule.request("hs-1", ask(range(4)), now_ns=5)
    assert [at for at, _, _ in drain(schedule, now_ns=5)] == [5 + n * NS // 10 for n in range(4)]


def test_the_rate_holds_across_requests():
    schedule = ChunkSchedule()
    schedule.request("hs-1", ask([0]), now_ns=0)
    drain(schedule)
    schedule.request("hs-1", ask([1]), now_ns=1)
    assert schedule.due(now_ns=1) is None
    assert schedule.next_ns() == NS // 10


def test_a_chunk_that_waits_is_not_queued_twice():
    schedule = ChunkSchedule()
    schedule.request("hs-1", ask(range(8)), now_ns=0)
    assert schedule.request("hs-1", ask(range(8)), now_ns=0) == 0
    assert len(schedule) == 8


def test_what_waits_for_one_device_is_bounded_and_can_be_forgotten():
    schedule = ChunkSchedule()
    for n in range(5):
        schedule.request("hs-1", ask(range(64), window=64, digest=f"{n:064x}"), now_ns=0)
    schedule.request("hs-2", ask([7]), now_ns=0)
    assert len(schedule) == MAX_PER_DEVICE + 1
    schedule.forget("hs-1")
    assert [(device, n) for _, device, n in drain(schedule)] == [("hs-2", 7)]


def test_devices_are_served_side_by_side():
    schedule = ChunkSchedule()
    schedule.request("hs-1", ask(range(3)), now_ns=0)
    schedule.request("hs-2", ask(range(3)), now_ns=0)
    assert sorted(device for at, device, _ in drain(schedule) if at == 0) == ["hs-1", "hs-2"]


@pytest.mark.parametrize("bitmap", ["!!!", base64.b64encode(b"\xff").decode()])
def test_a_bitmap_that_does_not_fit_is_malformed(bitmap):
    wanted = ask([0]).model_copy(update={"missing": bitmap})
    with pytest.raises(MalformedMessage):
        missing_chunks(wanted)


@settings(deadline=None)
@given(missing=st.sets(st.integers(0, 99)), window=st.integers(1, 64))
def test_asking_again_for_what_is_missing_brings_every_chunk_once(missing, window):
    schedule, left, got = ChunkSchedule(), set(missing), []
    while left:
        schedule.request("hs-1", ask(left, window=window), now_ns=0)
        arrived = [n for _, _, n in drain(schedule)]
        got += arrived
        left -= set(arrived)
    assert sorted(got) == sorted(missing)
