"""Core: read a .tflite file as one plain graph of operators and tensors.

Refuses, with the reason: several subgraphs, control flow, custom operators (other than a detector's
post-processing), state kept between runs, and files whose parts point outside of it. What must stay here: the only reader of the TensorFlow Lite schema;
``tflite.write`` is its only writer. A ``Graph`` never changes: edits make a new one.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from inference.errors import GraphError
from inference.tflite.bounds import Bounds, check_bounds, wrong_count

Document = Any  # the schema's own ModelT: every field of the file, mutable
NO_TENSOR = -1
_MAX_DIMENSIONS = 32  # numpy's own limit of old; no engine has kernels for more than eight
POST_PROCESS = "TFLite_Detection_PostProcess"

_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_DTYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
_REFUSED_OPERATORS = {
    **dict.fromkeys(
        ("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"), "control flow"
    ),
    **dict.fromkeys(("CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES", "DELEGATE"), "custom operators"),
    **dict.fromkeys(
        ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
        "state between runs",
    ),
}
# What the schema's generated reader, and numpy behind it, raise when numbers of a damaged file lead nowhere.
DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of the graph; ``payload_bytes`` is what it occupies, ``data_bytes`` what the file stores.

    ``constant`` tensors have their values in the file. ``scales`` is empty for tensors that are not quantised,
    holds one value per tensor or one per channel. ``declared_shape`` has -1 where the exporter left a size free.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    declared_shape: tuple[int, ...]
    constant: bool
    data_bytes: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @property
    def payload_bytes(self) -> int:
        """Bytes of the values at run time."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An operator in execution order; an absent optional input is ``NO_TENSOR``."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One plain graph. ``inputs`` and ``outputs`` index ``tensors``; ``content`` is the file itself."""

    content: bytes
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signature: str | None

    def unpack(self) -> Document:
        """Give a fresh, mutable copy of the whole file in the schema's own objects."""
        return _unpacked(self.content)


def read_graph(path: Path, /) -> Graph:
    """Read a model file.

    Raises:
        GraphError: unreadable, damaged, or more than one plain graph; says which.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"cannot read the model {path}: {error.strerror}; check the path and its rights"
        raise GraphError(msg) from error
    return parse_graph(content)


def parse_graph(content: bytes, /) -> Graph:
    """Read a model from memory.

    Raises:
        GraphError: damaged, or more than one plain graph; says which.
    """
    return graph_of(unpack(content), content)


def graph_of(document: Document, content: bytes, /) -> Graph:
    """Describe an unpacked file.

    Raises:
        GraphError: damaged, or more than one plain graph; says which.
    """
    _refuse_unsupported(document)
    subgraph = document.subgraphs[0]
    try:
        tensors = tuple(_tensor(document, index) for index in range(len(subgraph.tensors)))
        operators = tuple(
            Operator(
                index=index,
                name=operator_name(document, operator),
                inputs=_indices(operator.inputs),
                outputs=_indices(operator.outputs),
            )
            for index, operator in enumerate(subgraph.operators)
        )
        graph = Graph(
            content=content,
            tensors=tensors,
            operators=operators,
            inputs=_indices(subgraph.inputs),
            outputs=_indices(subgraph.outputs),
            signature=_signature(document),
        )
    except DAMAGE as error:
        raise GraphError(damaged(error)) from error
    _check_indices(graph)
    return graph


def unpack(content: bytes, /) -> Document:
    """Unpack a file into the schema's objects, with external buffers brought in.

    Raises:
        GraphError: not a .tflite file, damaged, or far more than a file of its size can hold.
    """
    if content[4:8] != b"TFL3":
        msg = f"not a .tflite model (identifier {bytes(content[4:8])!r}, expected b'TFL3'): pass another file"
        raise GraphError(msg)
    try:
        check_bounds(content)
        return _unpacked(content)
    except DAMAGE as error:
        raise GraphError(damaged(error)) from error


def _unpacked(content: bytes) -> Document:
    document = schema.ModelT.InitFromPackedBuf(content)
    bounds = Bounds(content)  # of what lies behind the FlatBuffer
    # Offsets 0 and 1 mean "stored inside"; larger ones point behind the FlatBuffer.
    for buffer in document.buffers or []:
        if buffer.offset > 1:
            buffer.data = _behind(content, buffer.offset, buffer.size, bounds)
            buffer.offset = buffer.size = 0
    for operator in (row for subgraph in document.subgraphs or [] for row in subgraph.operators or []):
        if operator.largeCustomOptionsOffset > 1:
            where = operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize
            operator.customOptions = _behind(content, *where, bounds)
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0
    return document


def _behind(content: bytes, offset: int, size: int, bounds: Bounds) -> NDArray[np.uint8]:
    end = offset + size
    if end > len(content):
        msg = (
            f"an external buffer ends at byte {end} of {len(content)}: the file is cut short, fetch it again"
        )
        raise GraphError(msg)
    bounds.charge(size)
    return np.frombuffer(content, np.uint8, size, offset)


def operator_name(document: Document, operator: Any) -> str:
    """Name of an operator as the schema spells it, for example ``CONV_2D``."""
    code = document.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if code.customCode == POST_PROCESS.encode():
        return POST_PROCESS
    return str(_OPERATORS.get(number, f"UNKNOWN_{number}"))


def _refuse_unsupported(document: Document) -> None:
    count = len(document.subgraphs or [])
    if count != 1:
        raise GraphError(wrong_count(count))
    subgraph = document.subgraphs[0]
    if not subgraph.operators or not subgraph.tensors:
        msg = "the model has no operators: pass a complete model"
        raise GraphError(msg)
    try:
        names = sorted({operator_name(document, operator) for operator in subgraph.operators})
    except DAMAGE as error:
        raise GraphError(damaged(error)) from error
    for name in names:
        if reason := _REFUSED_OPERATORS.get(name):
            msg = f"the model uses {reason} ({name}), which is not supported: export it without"
            raise GraphError(msg)
    if document.externalBufferGroups:
        msg = "the model's weights lie in other files, which is not supported: export it as one file"
        raise GraphError(msg)
    if any(tensor.isVariable for tensor in subgraph.tensors):
        msg = "the model keeps state between runs (variable tensors), which is not supported: export it stateless"
        raise GraphError(msg)


def _tensor(document: Document, index: int) -> Tensor:
    raw = document.subgraphs[0].tensors[index]
    data = document.buffers[raw.buffer].data
    quantisation = raw.quantization
    if raw.shape is not None and len(raw.shape) > _MAX_DIMENSIONS:
        msg = f"a tensor has {len(raw.shape)} dimensions, at most {_MAX_DIMENSIONS} are supported: export it flat"
        raise GraphError(msg)
    scales = quantisation.scale if quantisation and quantisation.scale is not None else ()
    zero_points = quantisation.zeroPoint if quantisation and quantisation.zeroPoint is not None else ()
    return Tensor(
        index=index,
        name=(raw.name or b"").decode(errors="replace"),
        shape=_indices(raw.shape),
        declared_shape=_indices(raw.shape if raw.shapeSignature is None else raw.shapeSignature),
        dtype=_DTYPES[raw.type],
        constant=data is not None and len(data) > 0,
        data_bytes=0 if data is None else len(data),
        scales=tuple(float(value) for value in scales),
        zero_points=tuple(int(value) for value in zero_points),
    )


def _signature(document: Document) -> str | None:
    if not document.signatureDefs:
        return None
    key: bytes = document.signatureDefs[0].signatureKey
    return key.decode(errors="replace")


def _indices(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _check_indices(graph: Graph) -> None:
    used = [*graph.inputs, *graph.outputs]
    for operator in graph.operators:
        used += [*(index for index in operator.inputs if index != NO_TENSOR), *operator.outputs]
    if any(not 0 <= index < len(graph.tensors) for index in used):
        msg = "an operator names a tensor that does not exist: the file is damaged, fetch it again"
        raise GraphError(msg)


def damaged(error: BaseException, /) -> str:
    """Text of the refusal of a damaged file."""
    return f"the model file is damaged ({type(error).__name__}: {error}): fetch it again"
