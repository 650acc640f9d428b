"""Core: unpack a sparse constant into its dense values.

The schema stores a sparse tensor as a tree over its dimensions in traversal order, with blocks as further
dimensions; each level is dense or lists its filled indices. Refuses, by numpy's own errors, indices that lead
nowhere; the caller turns these into its refusal.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from inference.runtimes.base import Array

_Indices = NDArray[np.int64]


def densify(values: Array, shape: tuple[int, ...], sparsity: Any, /) -> Array:
    """Give the dense array of ``shape`` that the stored ``values`` stand for.

    Raises:
        ValueError, IndexError, TypeError, AttributeError: the description does not fit the values or the shape.
    """
    order = [int(axis) for axis in sparsity.traversalOrder]
    blocked = [] if sparsity.blockMap is None else [int(axis) for axis in sparsity.blockMap]
    if sorted(order) != list(range(len(shape) + len(blocked))) or len(sparsity.dimMetadata) != len(order):
        msg = "a sparse constant does not describe each of its dimensions once"
        raise ValueError(msg)
    at = np.zeros(1, np.int64)
    coordinates: dict[int, _Indices] = {}
    sizes: dict[int, int] = {}
    limit = max(values.size, *map(_stored, sparsity.dimMetadata))
    for axis, level in zip(order, sparsity.dimMetadata, strict=True):
        rows, index, at = _descend(at, level, limit)
        coordinates = {known: found[rows] for known, found in coordinates.items()}
        coordinates[axis] = index
        sizes[axis] = int(level.denseSize)
    where = [coordinates[axis] for axis in range(len(shape))]
    for block, axis in enumerate(blocked, start=len(shape)):
        where[axis] = where[axis] * sizes[block] + coordinates[block]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(where)] = values[at]
    return dense


def _descend(at: _Indices, level: Any, limit: int) -> tuple[_Indices, _Indices, _Indices]:
    """One level down: row each entry came from, its index in this dimension, its place in the next level."""
    if level.format == schema.DimensionType.DENSE:
        size = int(level.denseSize)
        _check_count(len(at) * max(size, 0), limit)
        rows = np.repeat(np.arange(len(at)), size)
        index = np.tile(np.arange(size), len(at))
        return rows, index, at[rows] * size + index
    segments = np.asarray(level.arraySegments.values, np.int64)
    filled = np.asarray(level.arrayIndices.values, np.int64)
    counts = segments[at + 1] - segments[at]
    if (counts < 0).any() or (filled < 0).any():
        msg = "a sparse constant has negative indices"
        raise ValueError(msg)
    _check_count(int(counts.sum()), limit)
    rows = np.repeat(np.arange(len(at)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = segments[at][rows] + np.arange(len(rows)) - first
    return rows, filled[place], place


def _stored(level: Any) -> int:
    return 0 if level.format == schema.DimensionType.DENSE else len(level.arraySegments.values)


def _check_count(count: int, limit: int) -> None:
    # Every branch of the tree ends in a stored value or in a list that is stored as empty, so no level is wider
    # than the values or one of the lists.
    if count > limit:
        msg = f"a sparse constant stores {limit} values or lists but describes {count}"
        raise ValueError(msg)
