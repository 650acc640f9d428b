"""Core: cut an .onnx model into parts that are valid models themselves.

A part holds the operators between two legal cuts, the stored constants that they read, and copies of the
operators that work out further constants. The same file, shapes and range give the same bytes. Refuses ranges
that are empty or do not begin and end at a legal cut. What must stay here: the only writer of .onnx parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import onnx

from inference.graph.cuts import legal_cuts
from inference.graph.flow import Cut, Flow
from inference.graph.segments import Segment, segment_of
from inference.onnx.flow import OnnxGraph, onnx_graph
from inference.onnx.shapes import Shapes

_NO_SHAPES: Shapes = MappingProxyType({})
_LISTS_CONSTANTS_AS_INPUTS_BELOW = 4  # IR version from which stored constants need no entry among the inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSplit:
    """A model and every way to cut it.

    Parts give the whole's bits at equal engine version, thread count and optimisation level "none".
    """

    graph: OnnxGraph
    cuts: tuple[Cut, ...]

    @property
    def flow(self) -> Flow:
        """The model's tensors and operators."""
        return self.graph.flow

    @property
    def fixed(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of inputs that the file leaves free and that all parts were fixed to."""
        return self.graph.fixed

    def part_inputs(self, start: int, end: int) -> tuple[str, ...]:
        """Names of what operators ``[start, end)`` read and do not yield themselves, in run order."""
        return self._names(self._segment(start, end).inputs)

    def part_outputs(self, start: int, end: int) -> tuple[str, ...]:
        """Names of what operators ``[start, end)`` yield for later ones, then the model's outputs among it."""
        return self._names(self._segment(start, end).outputs)

    def part(self, start: int, end: int) -> bytes:
        """Operators ``[start, end)`` as a model of their own, as bytes of an .onnx file.

        Raises:
            GraphError: the range is empty, or one of its ends is no legal cut.
        """
        segment = self._segment(start, end)
        source = self.graph.model
        steps = self.graph.steps[start:end]
        chosen = self._with_constants(steps)
        nodes = [source.graph.node[index] for index in chosen]
        names = {name for node in nodes for name in node.input}
        stored = [tensor for tensor in source.graph.initializer if tensor.name in names]
        made = [
            name for index in steps for name in source.graph.node[index].output if name in self.graph.types
        ]
        inputs, outputs = self._names(segment.inputs), self._names(segment.outputs)
        part = onnx.ModelProto(
            ir_version=source.ir_version,
            producer_name=source.producer_name,
            producer_version=source.producer_version,
            domain=source.domain,
            model_version=source.model_version,
            opset_import=source.opset_import,
        )
        graph = part.graph
        graph.name = f"{source.graph.name or 'graph'}[{start}:{end}]"
        graph.node.extend(nodes)
        graph.initializer.extend(stored)
        graph.input.extend(self._rows(inputs))
        if source.ir_version < _LISTS_CONSTANTS_AS_INPUTS_BELOW:
            graph.input.extend(self._rows(tensor.name for tensor in stored))
        graph.output.extend(self._rows(outputs))
        graph.value_info.extend(self._rows(name for name in made if name not in outputs))
        written: bytes = part.SerializeToString(deterministic=True)
        return written

    def _segment(self, start: int, end: int) -> Segment:
        return segment_of(self.flow, self.cuts, start, end)

    def _names(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self.flow.tensors[index].name for index in indices)

    def _with_constants(self, steps: tuple[int, ...]) -> list[int]:
        """The operators and those behind the constants they read, in the file's order."""
        chosen = set(steps)
        waiting = sorted(steps)
        while waiting:
            for name in self.graph.model.graph.node[waiting.pop()].input:
                maker = self.graph.makers.get(name)
                if maker is not None and maker not in chosen:
                    chosen.add(maker)
                    waiting.append(maker)
        return sorted(chosen)

    def _rows(self, names: Iterable[str]) -> list[Any]:
        types = self.graph.types
        return [
            onnx.helper.make_tensor_value_info(name, types[name].element, types[name].shape) for name in names
        ]


def split_onnx(content: bytes, /, *, shapes: Shapes = _NO_SHAPES) -> OnnxSplit:
    """Find every cut of a model; ``shapes`` chooses input shapes that the file leaves free.

    Raises:
        GraphError: damaged, or not one plain graph of known shapes; names operator and reason.
    """
    graph = onnx_graph(content, shapes=shapes)
    return OnnxSplit(graph=graph, cuts=legal_cuts(graph.flow))
