"""Core: cut a .tflite file into parts that are models of their own.

A part has a signature, only its own tensors and buffers, and the metadata that does not name tensors. The same
file gives the same parts, byte for byte, everywhere: a placement ships positions, not segments.
"""

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from inference.graph.cuts import legal_cuts
from inference.graph.flow import Cut, Flow
from inference.graph.segments import Segment, segment_of
from inference.tflite.flow import flow_of
from inference.tflite.fold import fold_constants
from inference.tflite.graph import graph_of, unpack
from inference.tflite.write import SIGNATURE_KEY, pack

# Engines choose kernels by these; everything else may name tensors that a part does not have.
_KEPT_METADATA = frozenset((b"min_runtime_version", b"reduced_precision_support"))


class TfliteSplit:
    """One .tflite model with its constants folded, ready to be cut.

    ``flow`` and ``cuts`` describe it; positions are those of ``cuts``.
    """

    def __init__(self, content: bytes, /) -> None:
        self._document = unpack(content)
        fold_constants(self._document)
        self.flow: Flow = flow_of(graph_of(self._document, content))
        self.cuts: tuple[Cut, ...] = legal_cuts(self.flow)

    def part(self, start: int, end: int, /) -> bytes:
        """The model of ``operators[start:end]``.

        Raises:
            GraphError: not two rising legal cuts, or nothing between them is needed.
        """
        segment = segment_of(self.flow, self.cuts, start, end)
        source = self._document.subgraphs[0]
        subgraph = schema.SubGraphT()
        subgraph.name = source.name
        subgraph.tensors = [copy.copy(tensor) for tensor in source.tensors]
        subgraph.operators = [copy.copy(source.operators[place]) for place in segment.operators]
        subgraph.inputs = np.array(segment.inputs, np.int32)
        subgraph.outputs = np.array(segment.outputs, np.int32)
        document = schema.ModelT()
        document.version = self._document.version
        document.description = self._document.description
        document.operatorCodes = self._document.operatorCodes
        document.subgraphs = [subgraph]
        document.buffers = self._document.buffers
        document.metadata = [
            copy.copy(row) for row in self._document.metadata or [] if row.name in _KEPT_METADATA
        ]
        document.signatureDefs = [self._signature(segment)]
        return pack(document)

    def part_inputs(self, start: int, end: int, /) -> tuple[str, ...]:
        """Names of the part's inputs in run order."""
        return self._names(segment_of(self.flow, self.cuts, start, end).inputs)

    def part_outputs(self, start: int, end: int, /) -> tuple[str, ...]:
        """Names of the part's outputs in run order."""
        return self._names(segment_of(self.flow, self.cuts, start, end).outputs)

    def _names(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self.flow.tensors[index].name for index in indices)

    def _signature(self, segment: Segment) -> Any:
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE_KEY
        signature.subgraphIndex = 0
        signature.inputs = [self._row(index) for index in segment.inputs]
        signature.outputs = [self._row(index) for index in segment.outputs]
        return signature

    def _row(self, index: int) -> Any:
        row = schema.TensorMapT()
        row.name = self._document.subgraphs[0].tensors[index].name
        row.tensorIndex = index
        return row
