"""Changes of what a well-formed .onnx file says: every one makes a file that parses, and most make one that lies.

Each takes a generator and the file's document and changes it in place. Core.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import onnx

from bench.tflite_meaning import STRANGE_SIZES

_SIZES = (*STRANGE_SIZES, 1 << 62)
_ONNX_OPERATORS = (
    *("Conv", "Add", "If", "Loop", "Scan", "Reshape", "Resize", "Tile", "Expand", "Range", "Pad"),
    *("NonMaxSuppression", "ConstantOfShape", "RandomNormal", "Gather", "Slice", "Nonsense", ""),
)


def _shape(rng: Random, document: Any) -> None:
    graph = document.graph
    row = rng.choice([*graph.input, *graph.output, *graph.value_info])
    sizes = row.type.tensor_type.shape.dim
    if rng.random() < 0.2:
        sizes.add().dim_param = "free"
    elif sizes:
        rng.choice(sizes).dim_value = rng.choice(_SIZES)


def _stored(graph: Any) -> list[Any]:
    """Weights, and what operators hold as constants."""
    held = [row.t for node in graph.node for row in node.attribute if row.HasField("t")]
    return [*graph.initializer, *held]


def _weight(rng: Random, document: Any) -> None:
    tensor = rng.choice(_stored(document.graph))
    change = rng.choice(("dims", "less", "type", "outside", "none"))
    if change == "dims":
        tensor.dims.append(rng.choice(_SIZES))
    elif change == "less":
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
    elif change == "type":
        tensor.data_type = rng.choice((0, 2, 7, 8, 9, 10, 14, 16, 99))
    elif change == "outside":
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice(("../../etc/passwd", "/etc/passwd", "weights.bin"))
    else:
        tensor.ClearField("raw_data")


def _wires(rng: Random, document: Any) -> None:
    nodes = document.graph.node
    known = [name for node in nodes for name in node.output] + ["", "unknown"]
    node = rng.choice(nodes)
    names = node.input if rng.random() < 0.6 else node.output
    if names:
        names[rng.randrange(len(names))] = rng.choice(known)


def _operator(rng: Random, document: Any) -> None:
    rng.choice(document.graph.node).op_type = rng.choice(_ONNX_OPERATORS)


def _domain(rng: Random, document: Any) -> None:
    rng.choice(document.graph.node).domain = rng.choice(("com.microsoft", "ai.onnx.ml", "strange"))


def _opset(rng: Random, document: Any) -> None:
    row = document.opset_import.add()
    row.domain, row.version = (
        rng.choice(("", "ai.onnx", "strange")),
        rng.choice((-1, 0, 1, 7, 11, 13, 99, 1 << 40)),
    )
    document.ir_version = rng.choice((1, 3, 8, 10, 99))


def _attribute(rng: Random, document: Any) -> None:
    rows = [row for node in document.graph.node for row in node.attribute]
    if not rows:
        return
    row = rng.choice(rows)
    row.i = rng.choice(_SIZES)
    row.type = rng.choice((row.type, 0, 2, 7, 11))
    if row.ints and rng.random() < 0.7:
        row.ints[rng.randrange(len(row.ints))] = rng.choice(_SIZES)


def _inner(rng: Random, document: Any) -> None:
    stored = document.graph.SerializeToString()
    row = rng.choice(document.graph.node).attribute.add()
    row.name, row.type = "body", onnx.AttributeProto.GRAPH
    row.g.ParseFromString(stored)


def _deep(rng: Random, document: Any) -> None:
    inner = document.graph
    for _ in range(rng.choice((5, 50, 90))):
        row = inner.node[0].attribute.add() if inner.node else inner.node.add().attribute.add()
        row.name, row.type = "body", onnx.AttributeProto.GRAPH
        inner = row.g


def _shuffled(rng: Random, document: Any) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in document.graph.node]
    rng.shuffle(nodes)
    del document.graph.node[:]
    document.graph.node.extend(nodes)


def _many(rng: Random, document: Any) -> None:
    first = document.graph.node[0]
    for number in range(rng.choice((10, 1000, 10_000))):
        node = document.graph.node.add()
        node.CopyFrom(first)
        node.output[0] = f"more{number}"


def _grow(rng: Random, document: Any) -> None:
    """A chain that would double a constant with every operator if it were worked out."""
    graph = document.graph
    name = rng.choice([row.name for row in graph.initializer] or [graph.node[0].output[0]])
    for number in range(rng.choice((4, 30, 60))):
        node = graph.node.add()
        node.op_type = "Concat"
        node.input.extend([name, name])
        name = f"grown{number}"
        node.output.append(name)
        axis = node.attribute.add()
        axis.name, axis.type, axis.i = "axis", onnx.AttributeProto.INT, 0
    graph.node[0].input.append(name)


def _ends(rng: Random, document: Any) -> None:
    rows = rng.choice((document.graph.input, document.graph.output))
    change = rng.choice(("none", "twice", "other", "sequence"))
    if change == "none":
        del rows[:]
    elif change == "twice":
        rows.add().CopyFrom(rows[0])
    elif change == "other":
        rows[0].name = rng.choice(("unknown", "", document.graph.node[0].output[0]))
    else:
        rows[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


def _functions(rng: Random, document: Any) -> None:
    function = document.functions.add()
    function.name = function.domain = rng.choice(("f", "", "Conv"))


ONNX_CHANGES: dict[str, Callable[[Random, Any], None]] = {
    "shape": _shape,
    "weight": _weight,
    "wires": _wires,
    "operator": _operator,
    "domain": _domain,
    "versions": _opset,
    "attribute": _attribute,
    "inner graph": _inner,
    "deep graphs": _deep,
    "order": _shuffled,
    "many": _many,
    "growing constant": _grow,
    "inputs and outputs": _ends,
    "functions": _functions,
}
