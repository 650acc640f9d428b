"""Core: how much of a model file computes in int8, of either format.

Counted are operators that work on int8 values, or on int8 weights as dynamic ranges have them; conversions between
float and int8 count as neither.
"""

from importlib import import_module
from types import ModuleType

from inference.errors import GraphError
from inference.tflite.graph import Graph, parse_graph

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_INT8 = frozenset({"int8", "uint8"})


def int8_share(content: bytes, /) -> tuple[int, int]:
    """Operators that compute in int8 and operators altogether.

    Raises:
        GraphError: neither a .tflite nor an .onnx model, or damaged.
    """
    if content[4:8] == b"TFL3":
        return int8_operators(parse_graph(content))
    share: tuple[int, int] = _onnx().onnx_int8_operators(content)
    return share


def stores_half(content: bytes, /) -> bool:
    """Whether a model's weights are stored as float16.

    Raises:
        GraphError: neither a .tflite nor an .onnx model, or damaged.
    """
    if content[4:8] == b"TFL3":
        return any(tensor.constant and tensor.dtype == "float16" for tensor in parse_graph(content).tensors)
    return bool(_onnx().onnx_stores_half(content))


def _onnx() -> ModuleType:
    try:
        return import_module("inference.onnx.share")
    except ImportError as error:
        msg = f"cannot read .onnx files here ({error}): install headway[worker]"
        raise GraphError(msg) from error


def int8_operators(graph: Graph, /) -> tuple[int, int]:
    """The same of a .tflite graph."""
    working = [op for op in graph.operators if op.name not in _CONVERSIONS]
    in_int8 = [op for op in working if _on_int8(graph, op.inputs, op.outputs)]
    return len(in_int8), len(working)


def _on_int8(graph: Graph, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> bool:
    if graph.tensors[outputs[0]].dtype in _INT8:
        return True
    weights = (graph.tensors[index] for index in inputs if index >= 0)
    return any(tensor.constant and tensor.dtype in _INT8 for tensor in weights)
