"""Core: an .onnx model as a flow, with every shape known, and the operators behind each of its positions.

Operators that follow from constants alone are no positions of the flow: each part brings its own copy of those
that it reads. Operators that no output needs are left out. Refuses what ``onnx.read`` and ``onnx.shapes`` refuse,
tensors of types that cannot travel, and shapes that depend on data, unless they come from an operator made for
that (``NonMaxSuppression``): from there on the model stays whole, for as long as such tensors are read.
Operators on float16 are taken as onnxruntime runs them on a CPU: in float32, with casts where it rounds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx

from inference.errors import GraphError, ModelLoadError
from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.onnx.read import OnnxModel, OnnxNode, label_of, read_onnx
from inference.onnx.shapes import Shapes, TensorType, Values, constant_values, fix_inputs, infer_types
from inference.runtimes.onnx import lower_half

_NO_SHAPES: Shapes = MappingProxyType({})
_DATA_DEPENDENT = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
_ANY_SIZE = -1
_DTYPES: dict[int, str] = {
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.UINT16: "uint16",
    onnx.TensorProto.UINT32: "uint32",
    onnx.TensorProto.UINT64: "uint64",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """A model ready to be cut. ``model`` has fixed input shapes and sorted operators; nobody changes it.

    ``steps`` are the operators of ``flow`` as indices into the model's; ``makers`` finds the one behind a
    constant that is worked out; ``fixed`` are input shapes that were free in the file.
    """

    model: OnnxModel
    flow: Flow
    steps: tuple[int, ...]
    makers: Mapping[str, int]
    types: Mapping[str, TensorType]
    fixed: Mapping[str, tuple[int, ...]]


def onnx_flow(content: bytes, /, *, shapes: Shapes = _NO_SHAPES) -> Flow:
    """Flow of a model; ``shapes`` chooses input shapes that the file leaves free.

    Raises:
        GraphError: damaged, or not one plain graph of known shapes; names operator and reason.
    """
    return onnx_graph(content, shapes=shapes).flow


def onnx_graph(content: bytes, /, *, shapes: Shapes = _NO_SHAPES) -> OnnxGraph:
    """Read a model for cutting; ``shapes`` chooses input shapes that the file leaves free.

    Raises:
        GraphError: damaged, or not one plain graph of known shapes; names operator and reason.
    """
    graph = _read(content, shapes)
    if all(tensor.constant or tensor.dtype != "float16" for tensor in graph.flow.tensors):
        return graph
    try:
        return _read(lower_half(content), shapes)
    except ModelLoadError as error:
        raise GraphError(str(error)) from error


def _read(content: bytes, shapes: Shapes) -> OnnxGraph:
    model = read_onnx(content)
    fixed = fix_inputs(model, shapes)
    types = infer_types(model)
    constants, makers = _constants(model)
    _refuse_constant_outputs(model, constants)
    steps = _needed(model, constants)
    nodes = tuple(model.graph.node[index] for index in steps)
    flow = _flow(model, nodes, constants=constants, types=types, whole=_whole(nodes, types))
    return OnnxGraph(model=model, flow=flow, steps=steps, makers=makers, types=types, fixed=fixed)


def _names(names: Iterable[str]) -> list[str]:
    return [name for name in names if name]


def _constants(model: OnnxModel) -> tuple[set[str], dict[str, int]]:
    """Names of all tensors that follow from constants alone, and the operators behind those not stored."""
    constants = {tensor.name for tensor in model.graph.initializer}
    makers: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        if constants.issuperset(_names(node.input)):
            constants.update(_names(node.output))
            makers.update(dict.fromkeys(_names(node.output), index))
    return constants, makers


def _refuse_constant_outputs(model: OnnxModel, constants: set[str]) -> None:
    still = [row.name for row in model.graph.output if row.name in constants]
    if still:
        raise GraphError(f"output {still[0]!r} is the same for every input: remove it from the model")


def _needed(model: OnnxModel, constants: set[str]) -> tuple[int, ...]:
    """Operators that run each time and that some output depends on."""
    wanted = {row.name for row in model.graph.output}
    kept = []
    for index, node in reversed(list(enumerate(model.graph.node))):
        outputs = _names(node.output)
        if wanted.isdisjoint(outputs) or constants.issuperset(outputs):
            continue
        wanted.update(_names(node.input))
        kept.append(index)
    return tuple(reversed(kept))


def _whole(nodes: tuple[OnnxNode, ...], types: Mapping[str, TensorType]) -> tuple[tuple[int, int], ...]:
    """Ranges in which tensors of a shape that only a run tells are alive."""
    read = {name for node in nodes for name in node.input}
    loose: dict[str, int] = {}  # such tensors -> position of the operator they come from
    ends: dict[int, int] = {}
    for position, node in enumerate(nodes):
        sources = [loose[name] for name in node.input if name in loose]
        ends |= dict.fromkeys(sources, position + 1)
        mine = [name for name in _names(node.output) if _shape(types, name) is None]
        if not sources and node.op_type not in _DATA_DEPENDENT and read.intersection(mine):
            raise GraphError(f"{label_of(node)} has a shape that only a run tells: export with fixed shapes")
        loose |= dict.fromkeys(mine, position)
    ranges: list[tuple[int, int]] = []
    for start, end in sorted(ends.items()):
        if ranges and start < ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return tuple(ranges)


def _shape(types: Mapping[str, TensorType], name: str) -> tuple[int, ...] | None:
    return types[name].shape if name in types else None


def _flow(
    model: OnnxModel,
    nodes: tuple[OnnxNode, ...],
    *,
    constants: set[str],
    types: Mapping[str, TensorType],
    whole: tuple[tuple[int, int], ...],
) -> Flow:
    quantisation = _quantisation(nodes, constant_values(model))
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [row.name for row in model.graph.input if row.name not in stored]
    indices: dict[str, int] = {}
    tensors: list[FlowTensor] = []

    def index_of(name: str) -> int:
        if name not in indices:
            indices[name] = len(tensors)
            tensors.append(_tensor(name, types, constant=name in constants, quantisation=quantisation))
        return indices[name]

    outputs = [row.name for row in model.graph.output]
    read = {name for node in nodes for name in node.input} | set(outputs)
    entries = tuple(index_of(name) for name in inputs)
    operators = tuple(
        FlowOperator(
            kind=node.op_type,
            inputs=tuple(index_of(name) for name in _names(node.input) if _is_shown(name, constants, types)),
            outputs=tuple(index_of(name) for name in _names(node.output) if name in read),
        )
        for node in nodes
    )
    return Flow(
        file_format="onnx",
        tensors=tuple(tensors),
        operators=operators,
        inputs=entries,
        outputs=tuple(index_of(name) for name in outputs),
        whole=whole,
    )


def _is_shown(name: str, constants: set[str], types: Mapping[str, TensorType]) -> bool:
    """Constants of unknown shape or of types that numpy lacks are no tensors of the flow: they never travel."""
    return name not in constants or (_shape(types, name) is not None and types[name].element in _DTYPES)


def _tensor(
    name: str,
    types: Mapping[str, TensorType],
    *,
    constant: bool,
    quantisation: Mapping[str, tuple[float, int]],
) -> FlowTensor:
    known = types.get(name)
    if known is None or known.element not in _DTYPES:
        kind = onnx.TensorProto.DataType.Name(known.element) if known else "unknown"
        raise GraphError(
            f"{name!r} is of type {kind}, which cannot travel: export it as {', '.join(_DTYPES.values())}"
        )
    scale, zero_point = quantisation.get(name, (None, None))
    shape = (_ANY_SIZE,) if known.shape is None else known.shape
    return FlowTensor(
        name=name,
        shape=shape,
        dtype=_DTYPES[known.element],
        constant=constant,
        scale=scale,
        zero_point=zero_point,
    )


def _quantisation(nodes: tuple[OnnxNode, ...], values: Values) -> dict[str, tuple[float, int]]:
    """Scale and zero point of tensors that a quantising operator yields or a dequantising one reads."""
    found = {}
    for node in nodes:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.input) < 2:
            continue
        scale = values.get(node.input[1])
        zero = values.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1, np.int8)
        if scale is not None and zero is not None and scale.size == zero.size == 1:
            name = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
            found[name] = (float(scale.reshape(())), int(zero.reshape(())))
    return found
