"""Packed tensors come back bit for bit; bytes that are no packed tensors are refused and cost nothing."""

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inference.errors import PackingError
from inference.split.packing import MAGIC, MAX_TENSORS, Method, break_even_bps, is_worth_packing, pack, unpack

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)
TENSORS = st.lists(
    st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)), min_size=1, max_size=4
)


def activations(shape=(1, 32, 32, 16), dtype=np.int8):
    """Smooth planes with many zeros, as behind a ReLU."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    waves = np.sin(rows[..., None] / 9 + np.arange(shape[3])) * np.cos(columns[..., None] / 7)
    return (np.maximum(waves, 0) * 90 + rng.integers(0, 2, shape[1:])).astype(dtype)[None]


def written(*, method=Method.PACKED, dtype=2, shape=(4,), body=b"", count=1, body_bytes=None):
    """Bytes as a peer might send them, right or wrong."""
    head = MAGIC + bytes([count]) + bytes([method, dtype, len(shape)])
    return head + struct.pack(f"<{len(shape) + 1}I", *shape, body_bytes or len(body)) + body


@given(TENSORS, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_tensors_come_back_bit_for_bit(tensors, packed, channels_last):
    back = unpack(pack(tensors, packed=packed, channels_last=channels_last))
    assert [(array.dtype.name, array.shape) for array in back] == [(t.dtype.name, t.shape) for t in tensors]
    assert [array.tobytes() for array in back] == [tensor.tobytes() for tensor in tensors]


@given(st.sampled_from([b"", MAGIC, MAGIC + b"\x01"]), st.binary(max_size=200))
def test_any_bytes_are_tensors_or_refused(start, content):
    try:
        back = unpack(start + content)
    except PackingError:
        return
    assert back


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_or_cut_message_is_refused_or_gives_tensors_within_bounds(data):
    content = bytearray(pack([activations()], packed=True, channels_last=True))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.sampled_from([len(content), place]))]
    try:
        back = unpack(bytes(content), max_bytes=1 << 20)
    except PackingError:
        return
    assert sum(array.nbytes for array in back) <= 1 << 20


def test_a_tensor_in_another_memory_order_comes_back_too():
    tensor = activations().transpose(0, 2, 1, 3)
    assert np.array_equal(unpack(pack([tensor], packed=True, channels_last=True))[0], tensor)


def test_activations_shrink_and_channels_first_shrinks_them_more():
    tensor = activations()
    first, as_is = (len(pack([tensor], packed=True, channels_last=last)) for last in (True, False))
    assert first < as_is < tensor.nbytes


def test_float_activations_shrink_by_their_byte_planes():
    tensor = activations(dtype=np.float32)
    assert len(pack([tensor], packed=True, channels_last=True)) < tensor.nbytes / 2


def test_noise_stays_raw_and_grows_by_the_head_only():
    noise = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 64), np.uint8)
    assert len(pack([noise], packed=True, channels_last=True)) == noise.nbytes + 4 + 1 + 3 + 5 * 4


def test_a_bomb_is_refused_before_it_is_unpacked():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    assert len(bomb) < 200_000
    with pytest.raises(PackingError, match="does not hold the 4 B"):
        unpack(written(body=bomb))
    with pytest.raises(PackingError, match="larger than any"):
        unpack(written(body=bomb, shape=(1 << 30,)))


def test_a_frame_that_lies_about_its_size_is_refused():
    body = bytearray(zstandard.ZstdCompressor().compress(bytes(range(200)) * 5))
    size = zstandard.get_frame_parameters(bytes(body)).content_size
    place = bytes(body).index(struct.pack("<H", size - 256))
    body[place : place + 2] = struct.pack("<H", 500 - 256)
    with pytest.raises(PackingError, match="damaged"):
        unpack(written(body=bytes(body), shape=(500,)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too short"),
        (b"HWT2\x01", "no packed tensors"),
        (MAGIC + b"\x00", "no packed tensors"),
        (MAGIC + bytes([MAX_TENSORS + 1]), "no packed tensors"),
        (MAGIC + b"\x01\x00", "cut off"),
        (written(method=3), "does not exist"),
        (written(dtype=8), "does not exist"),
        (MAGIC + b"\x01\x00\x00\xff", "does not exist"),
        (written(method=Method.RAW, body=b"abc"), "cannot hold"),
        (written(method=Method.RAW, body=b"abcd") + b"more", "do not fill"),
        (written(method=Method.RAW, body=b"", body_bytes=4), "do not fill"),
        (written(method=Method.PACKED_CHANNELS_FIRST), "rank 4"),
        (written(body=b"no zstd frame"), "damaged"),
        (written(shape=(1 << 31, 1 << 31, 1 << 31)), "larger than any"),
        (written(method=Method.RAW, shape=(0, 1 << 31, 1 << 31, 1 << 31)), "larger than any"),
    ],
)
def test_bytes_that_break_the_format_are_refused_by_their_reason(content, reason):
    with pytest.raises(PackingError, match=reason):
        unpack(content)


def test_the_receiver_bounds_what_it_unpacks():
    content = pack([activations()], packed=True, channels_last=True)
    with pytest.raises(PackingError, match="more than 1000 B"):
        unpack(content, max_bytes=1000)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([], "0 tensors"),
        ([np.zeros(1)], "float64"),
        ([np.zeros([1] * 9, np.int8)], "does not travel"),
        ([np.zeros((0, 1 << 27), np.int8)], "does not travel"),
        ([np.zeros((65 << 20,), np.int8)], "exceed"),
    ],
)
def test_tensors_that_do_not_travel_are_refused(tensors, reason):
    with pytest.raises(PackingError, match=reason):
        pack(tensors, packed=False, channels_last=False)


def test_packing_is_worth_its_time_below_the_break_even_bandwidth():
    facts = {"raw_bytes": 10_000, "packed_bytes": 4_000, "encode_ns": 150_000, "decode_ns": 50_000}
    limit = break_even_bps(**facts)
    assert limit == pytest.approx(6_000 * 8 / 200e-6)
    assert is_worth_packing(**facts, bandwidth_bps=limit * 0.99)
    assert not is_worth_packing(**facts, bandwidth_bps=limit * 1.01)
    assert break_even_bps(**(facts | {"packed_bytes": 10_001})) == 0
