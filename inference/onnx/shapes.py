"""Core: give every tensor of an .onnx model a concrete shape.

Free dimensions of inputs are chosen by the caller; only a free batch dimension is set to one unasked, and the
choice is reported. Arithmetic on shapes (read a shape, pick, join, reshape to it) is then a constant and becomes
one, so that it never has to cross a cut. What must stay here: the only place where operators are evaluated, and
only these few on at most ``_MAX_VALUES`` values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from inference.errors import GraphError
from inference.onnx.growth import check_growth
from inference.onnx.read import DAMAGE, OnnxModel, OnnxNode, label_of, reason_of

Values = dict[str, NDArray[np.generic]]
Shapes = Mapping[str, Sequence[int]]

_MAX_VALUES = 64
_MAX_PRODUCT = 1 << 16  # of the sizes of what an operator joins: values of many shapes spread over each other
_MAX_ROUNDS = 16
_MAX_TENSOR_BYTES = 1 << 32
# Exact in any implementation. None makes more values than the product of its inputs' sizes, Concat their sum.
_ARITHMETIC = frozenset(
    (
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Concat",
        "Div",
        "Equal",
        "Floor",
        "Gather",
        "Greater",
        "Identity",
        "Less",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "ReduceProd",
        "Reshape",
        "Slice",
        "Squeeze",
        "Sub",
        "Unsqueeze",
        "Where",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """Element type (a value of onnx's enumeration) and shape; ``shape`` is None where nobody can tell it."""

    element: int
    shape: tuple[int, ...] | None


def fix_inputs(model: OnnxModel, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Write concrete shapes into the model's inputs; returns those that were free before.

    Raises:
        GraphError: a dimension stays free, or a chosen shape does not fit; names the input.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [row for row in model.graph.input if row.name not in stored]
    unknown = sorted(set(shapes) - {row.name for row in inputs})
    if unknown:
        names = ", ".join(row.name for row in inputs)
        raise GraphError(f"the model has no input {', '.join(unknown)}: it has {names}")
    if model.ir_version >= 4:  # a stored value of that name is a default; parts keep to it
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        inputs = list(model.graph.input)
    found = {row.name: _fix(row, shapes.get(row.name)) for row in inputs}
    return {name: shape for name, shape in found.items() if shape is not None}


def infer_types(model: OnnxModel) -> dict[str, TensorType]:
    """Type of every tensor by name; replaces arithmetic on shapes by constants in ``model``.

    Raises:
        GraphError: shapes contradict each other; names the operator.
    """
    del model.graph.value_info[:]  # shapes of another input size would contradict ours
    for row in model.graph.output:
        row.type.tensor_type.ClearField("shape")
    check_growth(model)
    types: dict[str, TensorType] = {}
    for _ in range(_MAX_ROUNDS):
        try:
            inferred = onnx.shape_inference.infer_shapes(
                model, check_type=True, strict_mode=True, data_prop=True
            ).graph
        except DAMAGE as error:
            raise GraphError(
                f"shapes of the model contradict each other: {reason_of(error)}; check the chosen input shapes"
            ) from error
        rows = [*inferred.value_info, *inferred.output, *inferred.input]
        types = {row.name: _type_of(row) for row in rows}
        types |= {
            tensor.name: TensorType(element=tensor.data_type, shape=tuple(tensor.dims))
            for tensor in model.graph.initializer
        }
        if not _fold(model, types):
            break
    return types


def constant_values(model: OnnxModel) -> Values:
    """Small constants by name: stored ones and those of Constant operators."""
    rows = [(tensor.name, tensor) for tensor in model.graph.initializer]
    rows += [
        (node.output[0], node.attribute[0].t)
        for node in model.graph.node
        if node.op_type == "Constant" and [row.name for row in node.attribute] == ["value"]
    ]
    small = [(name, tensor) for name, tensor in rows if np.prod(tensor.dims, dtype=float) <= _MAX_VALUES]
    try:
        return {name: numpy_helper.to_array(tensor) for name, tensor in small}
    except DAMAGE as error:
        raise GraphError(
            f"a constant of the model is damaged: {reason_of(error)}; export it again"
        ) from error


def _fix(row: Any, chosen: Sequence[int] | None) -> tuple[int, ...] | None:
    if row.type.WhichOneof("value") != "tensor_type":
        raise GraphError(f"input {row.name!r} is no tensor: export the model with tensors only")
    kind = row.type.tensor_type  # with a shape of some rank: the checker refuses inputs without
    # negative sizes stand for free ones in files of some exporters
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in kind.shape.dim]
    if None not in sizes and chosen is None:
        return None
    if chosen is None and None not in sizes[1:]:
        chosen = [1, *(size for size in sizes[1:] if size is not None)]
    if chosen is None:
        shown = [d.dim_param or d.dim_value or "?" for d in kind.shape.dim]
        raise GraphError(f"input {row.name!r} has free dimensions {shown}: choose a shape for it")
    fits = len(chosen) == len(sizes) and all(
        have in (None, want) for have, want in zip(sizes, chosen, strict=True)
    )
    if not fits or any(size < 1 for size in chosen):
        raise GraphError(f"shape {tuple(chosen)} does not fit input {row.name!r} of {sizes}: choose another")
    kind.ClearField("shape")
    for size in chosen:
        kind.shape.dim.add().dim_value = size
    return tuple(chosen) if None in sizes else None


def _type_of(row: Any) -> TensorType:
    if row.type.WhichOneof("value") != "tensor_type":
        raise GraphError(f"{row.name!r} is no tensor but a sequence or optional: export with tensors only")
    kind = row.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in kind.shape.dim]
    if not kind.HasField("shape") or None in sizes:
        return TensorType(element=kind.elem_type, shape=None)
    shape = tuple(size for size in sizes if size is not None)
    if math.prod(map(float, shape)) * 8 > _MAX_TENSOR_BYTES:
        raise GraphError(f"{row.name!r} would have the shape {shape}: choose smaller input shapes")
    return TensorType(element=kind.elem_type, shape=shape)


def _fold(model: OnnxModel, types: Mapping[str, TensorType]) -> int:
    """Replace what follows from known shapes by constants; returns how many operators that were."""
    values = constant_values(model)
    opset = max([row.version for row in model.opset_import if row.domain in ("", "ai.onnx")], default=1)
    folded = 0
    for node in model.graph.node:
        value = _value_of(node, values, types, opset=opset)
        if value is None or value.size > _MAX_VALUES:
            continue
        name = node.output[0]
        values[name] = value
        node.CopyFrom(onnx.helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
        folded += 1
    return folded


def _value_of(
    node: OnnxNode, values: Values, types: Mapping[str, TensorType], *, opset: int
) -> NDArray[np.generic] | None:
    if node.op_type in ("Shape", "Size"):
        known = types.get(node.input[0])
        if known is None or known.shape is None:
            return None
        if node.op_type == "Size":
            return np.asarray(np.prod(known.shape, dtype=np.int64))
        window = {row.name: row.i for row in node.attribute}
        return np.asarray(known.shape[slice(window.get("start"), window.get("end"))], dtype=np.int64)
    names = [name for name in node.input if name]
    if node.op_type not in _ARITHMETIC or len(node.output) != 1 or any(name not in values for name in names):
        return None
    sizes = [values[name].size for name in names]
    if (sum(sizes) if node.op_type == "Concat" else np.prod(sizes, dtype=float)) > _MAX_PRODUCT:
        return None
    return _evaluate(node, {name: values[name] for name in names}, opset=opset)


def _evaluate(node: OnnxNode, given: Values, *, opset: int) -> NDArray[np.generic]:
    rows = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in given.items()
    ]
    result = onnx.helper.make_empty_tensor_value_info(node.output[0])
    try:
        graph = onnx.helper.make_graph([node], "arithmetic", rows, [result])
        one = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        return np.asarray(ReferenceEvaluator(one).run(None, given)[0])
    except DAMAGE as error:
        raise GraphError(
            f"{label_of(node)} cannot be worked out from its constants: {reason_of(error)}; export the model again"
        ) from error
