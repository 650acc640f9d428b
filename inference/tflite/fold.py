"""Core: replace operators that only move stored values by the stored result.

A stock file unpacks its weights at load time (float16 DEQUANTIZE, DENSIFY, RESHAPE of constants); a cut
through such a chain crashes the engine. Only operators whose result is exact whoever computes it are folded;
others fed by constants alone stay, and ``tflite.flow`` marks what they yield. Folding is deterministic.
Refuses results that do not have the declared size, and more bytes than a file can hold.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from inference.errors import GraphError
from inference.runtimes.base import Array
from inference.tflite.densify import densify
from inference.tflite.graph import DAMAGE, Document, Graph, Operator, Tensor, damaged, graph_of
from inference.tflite.write import prune

# A FlatBuffer's offsets are signed 32-bit numbers.
_MAX_STORED_BYTES = (1 << 31) - (1 << 20)
_VALUE_TYPES = frozenset(
    ("float16", "float32", "float64", "bool")
    + tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
)


def fold_constants(document: Document, /) -> None:
    """Fold what follows from constants alone and only moves values; every tensor gets a name of its own.

    Changes the document, and takes out what nothing refers to any more.

    Raises:
        GraphError: stored values do not fit what the file says about them, or results would be too large.
    """
    graph = graph_of(document, b"")
    try:
        document.subgraphs[0].operators = _Folding(document, graph).remaining()
        _name_apart(document)
        prune(document)
    except DAMAGE as error:
        raise GraphError(damaged(error)) from error


class _Folding:
    """One pass in execution order, so that results feed later operators."""

    def __init__(self, document: Document, graph: Graph) -> None:
        self._document = document
        self._graph = graph
        self._results: dict[int, Array] = {}
        self._left_bytes = _MAX_STORED_BYTES - sum(tensor.data_bytes for tensor in graph.tensors)

    def remaining(self) -> list[Any]:
        """Fold into the document; give the operators that stay."""
        kept = []
        operators = self._document.subgraphs[0].operators
        for operator, view in zip(operators, self._graph.operators, strict=True):
            result = self._result(operator, view)
            if result is None:
                kept.append(operator)
            else:
                self._store(view.outputs[0], result)
        return kept

    def _result(self, operator: Any, view: Operator) -> Array | None:
        """Values of the operator's only output, or None where it must stay."""
        fold = _FOLDS.get(view.name)
        if fold is None or len(view.outputs) != 1 or not view.inputs or min(view.inputs) < 0:
            return None
        sources = [self._graph.tensors[index] for index in view.inputs]
        target = self._graph.tensors[view.outputs[0]]
        if target.dtype not in _VALUE_TYPES:
            return None
        self._charge(target)
        if view.name == "SHAPE":
            return _checked(view, np.array(sources[0].shape, target.dtype), target)
        arrays = [self._values(source) for source in sources]
        known = [array for array in arrays if array is not None]
        if len(known) != len(arrays):
            return None
        result = fold(operator.builtinOptions, known, target)
        return None if result is None else _checked(view, result, target)

    def _values(self, tensor: Tensor) -> Array | None:
        if tensor.index in self._results:
            return self._results[tensor.index]
        if not tensor.constant or tensor.dtype not in _VALUE_TYPES:
            return None
        raw = self._document.subgraphs[0].tensors[tensor.index]
        values = np.frombuffer(np.ascontiguousarray(self._document.buffers[raw.buffer].data), tensor.dtype)
        if raw.sparsity is None:
            return values.reshape(tensor.shape)
        self._charge(tensor)
        dense = densify(values, tensor.shape, raw.sparsity)
        self._left_bytes -= dense.nbytes
        self._results[tensor.index] = dense  # unpacked once, however many operators read it
        return dense

    def _charge(self, tensor: Tensor) -> None:
        if tensor.payload_bytes > self._left_bytes:
            msg = "the model's constants, unpacked, exceed 2 GiB: export it smaller"
            raise GraphError(msg)

    def _store(self, index: int, result: Array) -> None:
        self._left_bytes -= result.nbytes
        self._results[index] = result
        self._document.subgraphs[0].tensors[index].buffer = len(self._document.buffers)
        self._document.buffers.append(schema.BufferT(data=np.frombuffer(result.tobytes(), np.uint8)))


def _checked(view: Operator, result: Array, target: Tensor) -> Array:
    if result.shape == target.shape and result.dtype.name == target.dtype:
        return result
    msg = (
        f"{view.name} of constants gives {result.dtype.name}{list(result.shape)} where the file says "
        f"{target.dtype}{list(target.shape)}: it is damaged, fetch it again"
    )
    raise GraphError(msg)


def _reshape(_options: Any, inputs: list[Array], target: Tensor) -> Array:
    return inputs[0].reshape(target.shape)


def _dequantize(_options: Any, inputs: list[Array], _target: Tensor) -> Array | None:
    # Each float16 is a float32; how integers are scaled is the kernel's own arithmetic.
    return inputs[0].astype(np.float32) if inputs[0].dtype == np.float16 else None


def _transpose(_options: Any, inputs: list[Array], _target: Tensor) -> Array:
    return np.ascontiguousarray(inputs[0].transpose([int(axis) for axis in inputs[1]]))


def _pack(options: Any, inputs: list[Array], target: Tensor) -> Array | None:
    if sum(array.nbytes for array in inputs) != target.payload_bytes:
        return None
    return np.stack(inputs, axis=int(options.axis))


_FOLDS: dict[str, Callable[[Any, list[Array], Tensor], Array | None]] = {
    "DENSIFY": _reshape,  # sparse values are unpacked wherever they are read
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "PACK": _pack,
    "RESHAPE": _reshape,
    "SHAPE": _reshape,  # answered from the declared shape, before values are asked for
    "SQUEEZE": _reshape,
    "TRANSPOSE": _transpose,
}


def _name_apart(document: Document) -> None:
    """Give each tensor a name that no other has, so that parts can be joined by name."""
    taken: set[bytes] = set()
    for index, tensor in enumerate(document.subgraphs[0].tensors):
        name = tensor.name or b"tensor"
        tensor.name = name if name not in taken else name + b"#%d" % index
        while tensor.name in taken:
            tensor.name += b"#"
        taken.add(tensor.name)
