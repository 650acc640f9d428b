"""Core: how much of an .onnx file computes in int8, and whether it stores half precision. Reads, never runs."""

import onnx

from inference.onnx.read import read_onnx

_INTEGER_KINDS = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_TO_INT8 = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_TO_FLOAT = "DequantizeLinear"


def onnx_int8_operators(content: bytes, /) -> tuple[int, int]:
    """Operators that compute in int8 and operators altogether; conversions count as neither.

    Raises:
        GraphError: damaged.
    """
    nodes = read_onnx(content).graph.node
    floated = {name for node in nodes if node.op_type == _TO_FLOAT for name in node.output}
    lowered = {node.input[0] for node in nodes if node.op_type in _TO_INT8}
    working = [node for node in nodes if node.op_type not in {_TO_FLOAT, *_TO_INT8}]
    in_int8 = [
        node
        for node in working
        if node.op_type in _INTEGER_KINDS
        or node.op_type.startswith("QLinear")
        or (lowered.issuperset(node.output) and floated.intersection(node.input))
    ]
    return len(in_int8), len(working)


def onnx_stores_half(content: bytes, /) -> bool:
    """Whether any weight is stored as float16.

    Raises:
        GraphError: damaged.
    """
    stored = read_onnx(content).graph.initializer
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in stored)
