"""Core: the plain flow of a folded .tflite graph.

Refuses, naming operator and reason: dynamic shapes, random numbers, per-channel quantised activations, values
that have no plain type, and operators in an order that cannot run. Detection post-processing stays whole to the
end of the model, because what follows it has no shape of its own.
"""

import numpy as np

from inference.errors import GraphError
from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.tflite.graph import NO_TENSOR, POST_PROCESS, Graph, Operator, Tensor

_POST_PROCESSING = frozenset((POST_PROCESS, "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"))
_REFUSED = {
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"), "draws random numbers"),
    **dict.fromkeys(("WHERE", "UNIQUE", "SEGMENT_SUM"), "yields shapes that depend on the values"),
}
# Operators whose output's size is a value: input that holds it.
_SIZE_INPUTS = {
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1,
    "BROADCAST_TO": 1,
    "TILE": 1,
}
_SIZE_INPUTS |= {"PAD": 1, "PADV2": 1, "MIRROR_PAD": 1, "FILL": 0, "SLICE": 2, "STRIDED_SLICE": 2}
_SIZE_INPUTS |= {"TRANSPOSE_CONV": 0, "EXPAND_DIMS": 1, "DYNAMIC_UPDATE_SLICE": 2, "RANGE": 1, "ONE_HOT": 1}


def flow_of(graph: Graph, /) -> Flow:
    """Describe a graph whose constants were folded.

    Raises:
        GraphError: the graph cannot be cut safely; names operator and reason.
    """
    constant = _constants(graph)
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    whole_from = next((op.index for op in graph.operators if op.name in _POST_PROCESSING), None)
    _refuse_operators(graph, constant)
    for index in sorted({*graph.inputs, *makers} - constant):
        maker = makers.get(index)
        if maker is None or whole_from is None or maker.index < whole_from:  # others never cross a cut
            _refuse_tensor(graph.tensors[index], maker)
    return Flow(
        file_format="tflite",
        tensors=tuple(_flow_tensor(tensor, constant=tensor.index in constant) for tensor in graph.tensors),
        operators=tuple(
            FlowOperator(
                kind=operator.name,
                inputs=tuple(index for index in operator.inputs if index != NO_TENSOR),
                outputs=operator.outputs,
            )
            for operator in graph.operators
        ),
        inputs=graph.inputs,
        outputs=graph.outputs,
        whole=() if whole_from is None else ((whole_from, len(graph.operators)),),
    )


def _constants(graph: Graph) -> frozenset[int]:
    """Stored tensors and what follows from them alone, with the order of the operators checked on the way."""
    constant = {tensor.index for tensor in graph.tensors if tensor.constant}
    produced = {index for operator in graph.operators for index in operator.outputs}
    empty = {tensor.index for tensor in graph.tensors if 0 in tensor.shape}
    constant |= empty - produced - set(graph.inputs)
    known = constant | set(graph.inputs)
    for operator in graph.operators:
        inputs = [index for index in operator.inputs if index != NO_TENSOR]
        for index in inputs:
            if index not in known:
                msg = f"{_label(operator)} reads {graph.tensors[index].name!r} before it exists"
                raise GraphError(f"{msg}: the file is damaged, fetch it again")
        if known & set(operator.outputs) or len(set(operator.outputs)) != len(operator.outputs):
            msg = f"{_label(operator)} writes a tensor that has its values already"
            raise GraphError(f"{msg}: the file is damaged, fetch it again")
        known.update(operator.outputs)
        if constant.issuperset(inputs):
            constant.update(operator.outputs)
    if lost := [index for index in graph.outputs if index not in known]:
        msg = f"no operator yields the output {graph.tensors[lost[0]].name!r}: the file is damaged, fetch it again"
        raise GraphError(msg)
    return frozenset(constant)


def _refuse_operators(graph: Graph, constant: frozenset[int]) -> None:
    for operator in graph.operators:
        reason = _REFUSED.get(operator.name)
        place = _SIZE_INPUTS.get(operator.name)
        if place is not None and place < len(operator.inputs) and constant.isdisjoint(operator.outputs):
            size = operator.inputs[place]
            if size != NO_TENSOR and size not in constant:
                reason = "takes a size that is only known at run time"
        if reason:
            msg = f"{_label(operator)} {reason}: export the model with fixed shapes and without it"
            raise GraphError(msg)


def _refuse_tensor(tensor: Tensor, maker: Operator | None) -> None:
    where = f"the input {tensor.name!r}" if maker is None else f"{_label(maker)} with output {tensor.name!r}"
    try:
        np.dtype(tensor.dtype)
    except TypeError as error:
        msg = f"{where} has values of type {tensor.dtype}, which cannot be sent: export the model without"
        raise GraphError(msg) from error
    if any(size < 1 for size in tensor.shape) or (maker is None and _is_free(tensor)):
        msg = f"{where} has a dynamic shape {list(tensor.declared_shape)}: export the model with fixed shapes"
        raise GraphError(msg)
    if len(tensor.scales) > 1:
        msg = f"{where} is quantised per channel, which is no plain tensor: export it quantised per tensor"
        raise GraphError(msg)


def _is_free(tensor: Tensor) -> bool:
    # A batch left free has size 1 in the file, and that is what every engine runs unless told otherwise.
    declared = tensor.declared_shape
    batch_is_one = not declared or declared[0] >= 0 or tensor.shape[0] == 1
    return not batch_is_one or any(size < 0 for size in declared[1:])


def _label(operator: Operator) -> str:
    return f"operator {operator.index} ({operator.name})"


def _flow_tensor(tensor: Tensor, *, constant: bool) -> FlowTensor:
    quantised = len(tensor.scales) == 1
    return FlowTensor(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        constant=constant,
        scale=tensor.scales[0] if quantised else None,
        zero_point=tensor.zero_points[0] if quantised and tensor.zero_points else None,
    )
