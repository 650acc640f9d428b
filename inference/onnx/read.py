"""Core: read an .onnx file as one plain graph, its operators in an order they can run in.

Refuses, with operator and reason: control flow and other operators that hold graphs, operators of other domains,
functions of the model's own, results drawn at random, weights kept in files beside the model, training parts, and
whatever the format's own checker finds wrong. Bytes of any kind give a model or a ``GraphError``, nothing else.
What must stay here: the only parser of .onnx bytes; everything behind it trusts what it is given.
"""

from heapq import heappop, heappush
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

from inference.errors import GraphError
from inference.onnx.bounds import check_entries

OnnxModel = Any  # onnx.ModelProto: every field of the file, mutable
OnnxNode = Any  # onnx.NodeProto

MAX_MODEL_BYTES = 1 << 30
MAX_OPERATORS = 50_000
DAMAGE = (
    DecodeError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)
_OWN_DOMAINS = ("", "ai.onnx")
_RANDOM = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
)


def read_onnx(content: bytes, /) -> OnnxModel:
    """Parse a model and check it; operators are sorted so that each comes after what it reads.

    Raises:
        GraphError: damaged, too large, or not one plain graph; says which.
    """
    if len(content) > MAX_MODEL_BYTES:
        msg = f"the model has {len(content)} bytes, the limit is {MAX_MODEL_BYTES}: use a smaller one"
        raise GraphError(msg)
    check_entries(content)
    try:
        model = onnx.load_model_from_string(content)
        _refuse_unsupported(model)
        _sort(model.graph)
        _open_outputs(model.graph)
        onnx.checker.check_model(model)
    except DAMAGE as error:
        raise GraphError(f"this is not a sound .onnx file: {reason_of(error)}; export it again") from error
    return model


def reason_of(error: BaseException) -> str:
    """First line of what a library said, short enough for one line."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:200]


def label_of(node: OnnxNode) -> str:
    """How messages name an operator: its kind, and its name or first output."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')!r}"


def _open_outputs(graph: Any) -> None:
    """Let outputs without a shape pass the checker, as engines do; shapes are inferred later anyway."""
    for row in graph.output:
        if row.type.WhichOneof("value") == "tensor_type":
            row.type.tensor_type.shape.SetInParent()


def _refuse_unsupported(model: OnnxModel) -> None:
    graph = model.graph
    if not graph.node:
        raise GraphError("the model holds no operators: pass an .onnx file with a graph")
    if len(graph.node) > MAX_OPERATORS:
        raise GraphError(f"the model has {len(graph.node)} operators, the limit is {MAX_OPERATORS}")
    if model.functions:
        names = ", ".join(function.name for function in list(model.functions)[:3])
        raise GraphError(f"the model defines functions ({names}): inline them (onnx.inliner) and try again")
    if model.training_info:
        raise GraphError("the model holds training steps: export it for inference")
    if graph.sparse_initializer:
        raise GraphError("the model stores sparse weights: export it with dense ones")
    for tensor in graph.initializer:
        _refuse_outside(tensor, where=f"weight {tensor.name!r}")
    for node in graph.node:
        _refuse_node(node)


def _refuse_node(node: OnnxNode) -> None:
    if node.domain not in _OWN_DOMAINS:
        raise GraphError(
            f"{label_of(node)} belongs to the domain {node.domain!r}: only standard ONNX operators can be split"
        )
    if node.op_type in _RANDOM:
        raise GraphError(f"{label_of(node)} draws at random: parts would not give what the whole gives")
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        raise GraphError(f"{label_of(node)} may drop at random: export the model for inference")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise GraphError(f"{label_of(node)} is control flow (it holds a graph): export without it")
        for tensor in [attribute.t, *attribute.tensors]:
            _refuse_outside(tensor, where=f"a constant of {label_of(node)}")


def _refuse_outside(tensor: Any, *, where: str) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise GraphError(
            f"{where} is kept in a file beside the model: save the model in one file "
            "(onnx.save_model with save_as_external_data=False)"
        )


def _sort(graph: Any) -> None:
    """Bring operators into an order they can run in; a file that is in one already keeps its own.

    Converters append operators at the end of the file, and engines sort for themselves.
    """
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in makers:
                raise GraphError(f"two operators yield {name!r}: export the model again")
            makers[name] = index
    needs = [{makers[name] for name in node.input if name in makers} for node in graph.node]
    order = _order(needs)
    if len(order) < len(needs):
        raise GraphError("operators of the model wait for each other in a circle: export it again")
    if order != sorted(order):
        nodes = [onnx.NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
        del graph.node[:]
        graph.node.extend(nodes)


def _order(needs: list[set[int]]) -> list[int]:
    """Indices so that each comes after those it needs, the lowest possible first; circles are left out."""
    readers: list[list[int]] = [[] for _ in needs]
    for index, sources in enumerate(needs):
        for source in sources:
            readers[source].append(index)
    waiting = [len(sources) for sources in needs]
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        order.append(heappop(ready))
        for reader in readers[order[-1]]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heappush(ready, reader)
    return order
