"""Sparse constants: unpacked to what they were packed from, or refused."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.split.model import split_model
from inference.tflite.densify import densify
from tests.inference.made_tflite import Made


def _dense(size: int):
    return schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=size)


def _sparse(segments, indices):
    return schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=schema.SparseIndexVector.Int32Vector,
        arrayIndicesType=schema.SparseIndexVector.Int32Vector,
        arraySegments=schema.Int32VectorT(values=np.array(segments, np.int32)),
        arrayIndices=schema.Int32VectorT(values=np.array(indices, np.int32)),
    )


def _described(order, levels, blocks=()):
    return schema.SparsityParametersT(
        traversalOrder=np.array(order, np.int32), blockMap=np.array(blocks, np.int32), dimMetadata=levels
    )


def _packed(dense: np.ndarray):
    """Rows dense, columns listed where they are filled."""
    filled = [np.flatnonzero(row) for row in dense]
    segments = np.cumsum([0, *map(len, filled)])
    levels = [_dense(len(dense)), _sparse(segments, np.concatenate(filled))]
    return dense[dense != 0], _described([0, 1], levels)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_rows_of_filled_columns_are_unpacked(rows, columns, seed):
    rng = np.random.default_rng(seed)
    dense = (rng.integers(1, 9, (rows, columns)) * (rng.random((rows, columns)) < 0.4)).astype(np.float32)
    values, sparsity = _packed(dense)
    assert np.array_equal(densify(values, dense.shape, sparsity), dense)


def test_columns_may_come_before_rows():
    dense = np.array([[0, 5, 0], [7, 0, 8]], np.int8)
    values, sparsity = _packed(dense.T)
    sparsity.traversalOrder = np.array([1, 0], np.int32)
    assert np.array_equal(densify(values, dense.shape, sparsity), dense)


def test_blocks_of_values_are_put_in_place():
    """Two of six 1 x 2 blocks are stored: (0, columns 2 and 3) and (1, columns 4 and 5)."""
    sparsity = _described([0, 1, 2], [_dense(2), _sparse([0, 1, 2], [1, 2]), _dense(2)], blocks=[1])
    dense = densify(np.array([1, 2, 3, 4], np.float16), (2, 6), sparsity)
    assert dense.tolist() == [[0, 0, 1, 2, 0, 0], [0, 0, 0, 0, 3, 4]]


def _far(sparsity):
    sparsity.dimMetadata[1].arrayIndices.values[0] = 99


def _negative(sparsity):
    sparsity.dimMetadata[1].arrayIndices.values[0] = -1


def _falling(sparsity):
    sparsity.dimMetadata[1].arraySegments.values[1] = -2


def _too_wide(sparsity):
    sparsity.dimMetadata[0].denseSize = 1 << 30


def _order_twice(sparsity):
    sparsity.traversalOrder = np.array([0, 0], np.int32)


def _no_list(sparsity):
    sparsity.dimMetadata[1].arrayIndices = None


@pytest.mark.parametrize("damage", [_far, _negative, _falling, _too_wide, _order_twice, _no_list])
def test_descriptions_that_lead_nowhere_are_errors_that_the_caller_knows(damage):
    values, sparsity = _packed(np.array([[0, 5, 0], [7, 0, 8]], np.int8))
    damage(sparsity)
    with pytest.raises((ValueError, IndexError, TypeError, AttributeError)):
        densify(values, (2, 3), sparsity)


def test_a_sparse_weight_is_unpacked_once_and_its_operator_folded():
    made = Made(shape=(2, 3))
    dense = np.array([[0, 5, 0], [7, 0, 8]], np.float32)
    values, sparsity = _packed(dense)
    made.constant("w", values)
    made.tensors["w"].shape = np.array(dense.shape, np.int32)
    made.tensors["w"].sparsity = sparsity
    for name in ("first", "second"):
        made.operator("DENSIFY", ["w"], [name])
    made.operator("ADD", ["x", "first"], ["a"])
    made.operator("ADD", ["a", "second"], ["y"])
    split = split_model(made.content())
    assert [operator.kind for operator in split.flow.operators] == ["ADD", "ADD"]
    assert split.part(0, 1).count(dense.tobytes()) == 1
