"""Changes of what a well-formed .tflite file says: every one makes a file that parses, and most make one that lies.

Each takes a generator and the file's document and changes it in place. Core.
"""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

STRANGE_SIZES = (-1, 0, 1, 2, 3, 7, 1000, 65_536, 1 << 20, (1 << 31) - 1)


def _graph(document: Any) -> Any:
    return document.subgraphs[0]


def _shape(rng: Random, document: Any) -> None:
    tensor = rng.choice(_graph(document).tensors)
    shape = [int(size) for size in (() if tensor.shape is None else tensor.shape)]
    if shape and rng.random() < 0.6:
        shape[rng.randrange(len(shape))] = rng.choice(STRANGE_SIZES)
    else:
        shape = [rng.choice(STRANGE_SIZES) for _ in range(rng.randrange(9))]
    tensor.shape = np.array(shape, np.int32)


def _type(rng: Random, document: Any) -> None:
    rng.choice(_graph(document).tensors).type = rng.randrange(0, 24)


def _buffer(rng: Random, document: Any) -> None:
    count = len(document.buffers)
    rng.choice(_graph(document).tensors).buffer = rng.choice((0, rng.randrange(count), count, (1 << 32) - 1))


def _data(rng: Random, document: Any) -> None:
    filled = [row for row in document.buffers if row.data is not None and len(row.data)]
    row = rng.choice(filled)
    keep = rng.choice((0, 1, len(row.data) // 2, len(row.data) - 1))
    row.data = np.concatenate([row.data[:keep], np.zeros(rng.choice((0, 0, 1, 4096)), np.uint8)])


def _outside(rng: Random, document: Any) -> None:
    row = rng.choice(document.buffers)
    row.offset, row.size = rng.choice((2, 100, 1 << 40)), rng.choice((0, 1, 4096, (1 << 64) - 1))


def _operator_tensors(rng: Random, document: Any) -> None:
    operator = rng.choice(_graph(document).operators)
    count = len(_graph(document).tensors)
    field = rng.choice(("inputs", "outputs"))
    old = getattr(operator, field)
    values = [int(index) for index in (() if old is None else old)]
    change = rng.choice(("other", "none", "twice", "fewer", "outside"))
    if change == "other" and values:
        values[rng.randrange(len(values))] = rng.randrange(count)
    elif change == "twice":
        values += values
    elif change == "fewer":
        values = values[: rng.randrange(len(values) + 1)]
    elif values:
        values[rng.randrange(len(values))] = -1 if change == "none" else rng.choice((count, -2, 1 << 30))
    setattr(operator, field, np.array(values, np.int32))


def _order(rng: Random, document: Any) -> None:
    rng.shuffle(_graph(document).operators)


def _operator_code(rng: Random, document: Any) -> None:
    code = rng.choice(document.operatorCodes)
    code.builtinCode = rng.choice((rng.randrange(210), 32, 10_000, -1))
    code.deprecatedBuiltinCode = min(max(code.builtinCode, 0), 127)
    code.customCode = rng.choice((None, "Strange", "TFLite_Detection_PostProcess"))


def _options(rng: Random, document: Any) -> None:
    first, second = rng.choices(_graph(document).operators, k=2)
    first.builtinOptions, first.builtinOptionsType = second.builtinOptions, second.builtinOptionsType


def _option(rng: Random, document: Any) -> None:
    options = rng.choice(_graph(document).operators).builtinOptions
    numbers = [name for name, value in vars(options or object).items() if type(value) is int]
    if options is not None and numbers:
        setattr(options, rng.choice(numbers), rng.choice((0, 1, 2, 5, 100)))


def _quantisation(rng: Random, document: Any) -> None:
    tensor = rng.choice(_graph(document).tensors)
    made = schema.QuantizationParametersT()
    made.scale = np.array(
        [rng.choice((0.0, 1e-30, -1.0, float("nan"), float("inf"), 0.5))] * rng.choice((1, 3))
    )
    made.zeroPoint = np.array([rng.choice((0, -1, 300, 1 << 40))] * rng.choice((0, 1, 3)), np.int64)
    made.quantizedDimension = rng.choice((0, 1, 7, -1))
    tensor.quantization = made


def _ends(rng: Random, document: Any) -> None:
    graph = _graph(document)
    count = len(graph.tensors)
    field = rng.choice(("inputs", "outputs"))
    picked = [
        rng.choice((rng.randrange(count), rng.randrange(count), count, -1)) for _ in range(rng.randrange(5))
    ]
    setattr(graph, field, np.array(picked, np.int32))


def _graphs(rng: Random, document: Any) -> None:
    document.subgraphs = [_graph(document)] * rng.choice((0, 2, 40))


def _names(rng: Random, document: Any) -> None:
    for tensor in _graph(document).tensors:
        if rng.random() < 0.5:
            tensor.name = rng.choice((None, b"", b"\xff\xfe", b"same", b"x" * 5000, b"../../x", b"\x1b[2J"))


def _signature(rng: Random, document: Any) -> None:
    signature = schema.SignatureDefT()
    signature.signatureKey = rng.choice((None, b"", b"serving_default", b"\xff"))
    signature.subgraphIndex = rng.choice((0, 1, 1 << 30))
    row = schema.TensorMapT()
    row.name, row.tensorIndex = rng.choice((None, b"x")), rng.choice((0, 1 << 30))
    signature.inputs, signature.outputs = [row], rng.choice(([], [row], None))
    document.signatureDefs = [signature] * rng.choice((1, 3))


def _state(rng: Random, document: Any) -> None:
    rng.choice(_graph(document).tensors).isVariable = True


def _signature_of_shape(rng: Random, document: Any) -> None:
    tensor = rng.choice(_graph(document).tensors)
    tensor.shapeSignature = np.array([rng.choice(STRANGE_SIZES) for _ in range(rng.randrange(6))], np.int32)


def _sparse(rng: Random, document: Any) -> None:
    stored = [row for row in _graph(document).tensors if row.sparsity is not None]
    if not stored:
        made = schema.SparsityParametersT()
        made.traversalOrder = np.array([rng.choice((0, 1, 2, -1)) for _ in range(rng.randrange(5))], np.int32)
        rng.choice(_graph(document).tensors).sparsity = made
        return
    levels = rng.choice(stored).sparsity.dimMetadata
    level = rng.choice(levels)
    level.denseSize = rng.choice(STRANGE_SIZES)
    level.format = rng.choice((0, 1, 9))


def _many(rng: Random, document: Any) -> None:
    graph = _graph(document)
    times = rng.choice((2, 20, 200))
    part = rng.choice(("tensors", "operators", "codes", "buffers"))
    if part == "tensors":
        graph.tensors = [*graph.tensors, *(copy.copy(rng.choice(graph.tensors)) for _ in range(times * 10))]
    elif part == "operators":
        graph.operators = graph.operators * min(times, 20)
    elif part == "codes":
        document.operatorCodes = document.operatorCodes * times
    else:
        document.buffers = [*document.buffers, *(schema.BufferT() for _ in range(times * 10))]


def _absent(rng: Random, document: Any) -> None:
    owner, field = rng.choice(
        (
            (document, "operatorCodes"),
            (document, "buffers"),
            (_graph(document), "tensors"),
            (_graph(document), "operators"),
            (_graph(document), "inputs"),
            (_graph(document), "outputs"),
        )
    )
    setattr(owner, field, rng.choice((None, [])))


TFLITE_CHANGES: dict[str, Callable[[Random, Any], None]] = {
    "shape": _shape,
    "type": _type,
    "buffer": _buffer,
    "data": _data,
    "data outside": _outside,
    "operator's tensors": _operator_tensors,
    "order": _order,
    "operator code": _operator_code,
    "options of another": _options,
    "option": _option,
    "quantisation": _quantisation,
    "inputs and outputs": _ends,
    "several graphs": _graphs,
    "names": _names,
    "signature": _signature,
    "state": _state,
    "declared shape": _signature_of_shape,
    "sparsity": _sparse,
    "many": _many,
    "absent": _absent,
}
