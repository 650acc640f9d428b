"""The values of a part come back bit for bit; bytes that are not the expected tensors are refused and cost nothing."""

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inference.errors import PackingError
from inference.runtimes.base import TensorSpec
from inference.split.packing import Method
from inference.split.part_payload import NOTHING, PartPayload, pack_part, unpack_part
from schemas.messages import PartCoding

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
TENSORS = st.lists(
    st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)), min_size=1, max_size=4
)
CODINGS = st.sampled_from(PartCoding)
SPECS = (
    TensorSpec(name="edges", shape=(1, 16, 16, 8), dtype="int8"),
    TensorSpec(name="score", shape=(1, 3), dtype="float32"),
)
VALUES = (np.zeros((1, 16, 16, 8), np.int8), np.arange(3, dtype=np.float32)[None])
RAW_BYTES = 2048 + 12


def specs_of(tensors):
    return [TensorSpec(name=f"t{n}", shape=t.shape, dtype=t.dtype.name) for n, t in enumerate(tensors)]


def part(payload, *, subjects=1, coding=PartCoding.PACKED):
    return PartPayload(subjects=subjects, coding=coding, payload=payload)


@given(TENSORS, st.integers(0, 3), CODINGS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_tensors_of_every_subject_come_back_bit_for_bit(tensors, subjects, coding, channels_last):
    sent = pack_part([tensors] * subjects, coding=coding, channels_last=channels_last)
    back = unpack_part(sent, specs_of(tensors))
    assert (sent.subjects, len(back)) == (subjects, subjects)
    for row in back:
        assert [(array.dtype.name, array.shape) for array in row] == [
            (tensor.dtype.name, tensor.shape) for tensor in tensors
        ]
        assert [array.tobytes() for array in row] == [tensor.tobytes() for tensor in tensors]
        assert all(array.flags.aligned for array in row)


def test_raw_values_travel_with_nothing_between_them():
    sent = pack_part([VALUES, VALUES])
    assert sent.payload == b"".join(value.tobytes() for value in VALUES) * 2


def test_packed_values_cost_five_bytes_a_tensor_and_shrink():
    sent = pack_part([VALUES], coding=PartCoding.PACKED)
    assert len(sent.payload) < RAW_BYTES / 10
    heads = list(struct.iter_unpack("<BI", sent.payload[:10]))
    assert [method for method, _ in heads] == [Method.PACKED_CHANNELS_FIRST, Method.RAW]


@given(st.binary(max_size=200), st.integers(0, 64), CODINGS)
def test_any_bytes_are_the_tensors_or_refused(content, subjects, coding):
    try:
        back = unpack_part(part(content, subjects=subjects, coding=coding), SPECS)
    except PackingError:
        return
    assert len(back) == subjects


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_or_cut_payload_is_refused_or_gives_tensors_of_the_expected_kind(data):
    content = bytearray(pack_part([VALUES], coding=PartCoding.PACKED).payload)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.sampled_from([len(content), place]))]
    try:
        (row,) = unpack_part(part(bytes(content)), SPECS)
    except PackingError:
        return
    assert [(array.shape, array.dtype.name) for array in row] == [(spec.shape, spec.dtype) for spec in SPECS]


def head(*rows):
    return b"".join(struct.pack("<BI", method, size) for method, size in rows)


def zstd(content):
    return zstandard.ZstdCompressor().compress(content)


BOMB = zstd(bytes(1 << 26))
SCORE = bytes(12)
WRONG = {
    "too few raw": (part(bytes(RAW_BYTES - 1), coding=PartCoding.RAW), "expected are 2060 B: edges int8"),
    "too many raw": (part(bytes(RAW_BYTES + 1), coding=PartCoding.RAW), "expected are 2060 B"),
    "of one hand too few": (part(bytes(RAW_BYTES), subjects=2, coding=PartCoding.RAW), "expected are 4120 B"),
    "values of nobody": (part(b"x", subjects=0, coding=PartCoding.RAW), "expected are 0 B"),
    "no heads": (part(b"abc"), "expected are 2 packed"),
    "body over the end": (part(head((1, 2**32 - 1), (0, 12)) + SCORE), "do not fill the 22 B"),
    "something behind": (part(head((0, 2048), (0, 12)) + bytes(2061)), "do not fill"),
    "unknown method": (part(head((3, 0), (0, 12)) + SCORE), "edges came by method 3"),
    "raw of another size": (
        part(head((0, 5), (0, 12)) + bytes(17)),
        "edges: a raw body of 5 B cannot hold 2048 B",
    ),
    "turned where there is nothing to turn": (
        part(head((0, 2048), (2, 12)) + bytes(2060)),
        "score: channels first means rank 4, not 2",
    ),
    "bomb": (part(head((1, len(BOMB)), (0, 12)) + BOMB + SCORE), "does not hold the 2048 B of its tensor"),
    "no zstd": (part(head((1, 9), (0, 12)) + b"not zstd!" + SCORE), "damaged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_expected_tensors_is_refused_with_what_is(name):
    came, said = WRONG[name]
    with pytest.raises(PackingError, match=said):
        unpack_part(came, SPECS)


def test_nothing_is_of_nobody():
    assert unpack_part(NOTHING, SPECS) == ()
