"""Core: edit a graph and write it as a valid .tflite file.

Output is deterministic: the same edit of the same file gives the same bytes. Constants are aligned to 16 bytes
as the schema demands (its generated Python writer does not do that, and ARM kernels rely on it). Parts that
nothing refers to are left out.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from inference.errors import GraphError
from inference.tflite.graph import NO_TENSOR, Document, Graph, parse_graph

SIGNATURE_KEY = "serving_default"
_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT_BYTES = 16


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the generated base is untyped
    """A constant whose data starts at a multiple of 16 bytes."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated writer calls this name
        """Write the data and its table; returns the table's offset."""
        vector = None
        if self.data is not None and len(self.data):
            data = np.ascontiguousarray(self.data, np.uint8)
            builder.StartVector(1, data.size, _BUFFER_ALIGNMENT_BYTES)
            head = builder.head - data.size
            builder.head = head
            builder.Bytes[head : head + data.size] = data.tobytes()
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def pack(document: Document, /) -> bytes:
    """Write a document as a .tflite file without the parts nothing refers to. Consumes the document."""
    prune(document)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(document.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def prune(document: Document, /) -> None:
    """Take out tensors, operator codes and buffers that nothing refers to; the rest is numbered anew."""
    _prune_tensors(document)
    _prune_operator_codes(document)
    _prune_buffers(document)


def fold_float16(graph: Graph, /) -> Graph:
    """Replace every DEQUANTIZE of a stored float16 constant by a stored float32 constant.

    The values are the same (each float16 is a float32); the file grows. Other operators stay as they are.
    """
    document = graph.unpack()
    subgraph = document.subgraphs[0]
    kept = []
    for operator, view in zip(subgraph.operators, graph.operators, strict=True):
        source = graph.tensors[view.inputs[0]] if view.inputs else None
        if view.name != "DEQUANTIZE" or source is None or not source.constant or source.dtype != "float16":
            kept.append(operator)
            continue
        stored = document.buffers[subgraph.tensors[source.index].buffer].data
        values = np.frombuffer(stored.tobytes(), np.float16).astype(np.float32)
        subgraph.tensors[view.outputs[0]].buffer = len(document.buffers)
        document.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
    subgraph.operators = kept
    return parse_graph(pack(document))


def add_signature(graph: Graph, /) -> Graph:
    """Give the graph a signature over all its inputs and outputs; one that has a signature stays as it is.

    Raises:
        GraphError: two inputs or two outputs share a name, so they could not be told apart.
    """
    if graph.signature is not None:
        return graph
    document = graph.unpack()
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE_KEY
    signature.subgraphIndex = 0
    signature.inputs = _named(graph, graph.inputs)
    signature.outputs = _named(graph, graph.outputs)
    document.signatureDefs = [signature]
    return parse_graph(pack(document))


def _named(graph: Graph, indices: tuple[int, ...]) -> list[Any]:
    names = [graph.tensors[index].name for index in indices]
    if len(set(names)) != len(names):
        msg = f"inputs or outputs share a name ({', '.join(names)}): give each its own name and export again"
        raise GraphError(msg)
    rows = []
    for name, index in zip(names, indices, strict=True):
        row = schema.TensorMapT()
        row.name = name
        row.tensorIndex = index
        rows.append(row)
    return rows


def _prune_tensors(document: Document) -> None:
    subgraph = document.subgraphs[0]
    used = {int(index) for index in (*subgraph.inputs, *subgraph.outputs)}
    for operator in subgraph.operators:
        for field in (operator.inputs, operator.outputs, operator.intermediates):
            used.update(int(index) for index in (() if field is None else field))
    order = sorted(used - {NO_TENSOR})
    new = {old: position for position, old in enumerate(order)} | {NO_TENSOR: NO_TENSOR}
    subgraph.tensors = [subgraph.tensors[index] for index in order]
    subgraph.inputs = _renumber(subgraph.inputs, new)
    subgraph.outputs = _renumber(subgraph.outputs, new)
    for operator in subgraph.operators:
        operator.inputs = _renumber(operator.inputs, new)
        operator.outputs = _renumber(operator.outputs, new)
        operator.intermediates = _renumber(operator.intermediates, new)
    for signature in document.signatureDefs or []:
        for row in (*signature.inputs, *signature.outputs):
            row.tensorIndex = new[int(row.tensorIndex)]


def _prune_operator_codes(document: Document) -> None:
    operators = document.subgraphs[0].operators
    used = sorted({int(operator.opcodeIndex) for operator in operators})
    new = {old: position for position, old in enumerate(used)}
    document.operatorCodes = [document.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = new[int(operator.opcodeIndex)]


def _prune_buffers(document: Document) -> None:
    tensors, metadata = document.subgraphs[0].tensors, document.metadata or []
    used = {int(owner.buffer) for owner in (*tensors, *metadata)}
    filled = [index for index in sorted(used - {0}) if _size(document.buffers[index])]
    # Buffer 0 is empty by convention and serves every tensor that stores nothing.
    new = dict.fromkeys(used, 0) | {old: position for position, old in enumerate(filled, start=1)}
    document.buffers = [_AlignedBuffer()] + [
        _AlignedBuffer(data=document.buffers[index].data) for index in filled
    ]
    for owner in (*tensors, *metadata):
        owner.buffer = new[int(owner.buffer)]
    document.metadataBuffer = None  # deprecated list of indices, superseded by `metadata`


def _renumber(values: Any, new: dict[int, int]) -> Any:
    if values is None:
        return None
    return np.array([new[int(value)] for value in values], np.int32)


def _size(buffer: Any) -> int:
    return 0 if buffer.data is None else len(buffer.data)


def operator_counts(graph: Graph, /) -> dict[str, int]:
    """Count the operators by name, most frequent first."""
    counts: dict[str, int] = {}
    for operator in graph.operators:
        counts[operator.name] = counts.get(operator.name, 0) + 1
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def name_outputs(graph: Graph, names: Sequence[str], /) -> Graph:
    """Give the outputs these names, in order; other tensors that bear one of them get a suffix.

    Raises:
        GraphError: the number of names differs from the number of outputs.
    """
    if len(names) != len(graph.outputs):
        msg = f"{len(names)} names for {len(graph.outputs)} outputs: pass one name per output"
        raise GraphError(msg)
    document = graph.unpack()
    wanted = dict(zip(graph.outputs, names, strict=True))
    for tensor in graph.tensors:
        if tensor.index in wanted:
            document.subgraphs[0].tensors[tensor.index].name = wanted[tensor.index]
        elif tensor.name in names:
            document.subgraphs[0].tensors[tensor.index].name = f"{tensor.name}_inner"
    for signature in document.signatureDefs or []:
        for row in signature.outputs:
            row.name = wanted.get(int(row.tensorIndex), row.name)
    return parse_graph(pack(document))
