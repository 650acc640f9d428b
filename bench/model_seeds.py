"""Good model files to break: small ones cut out of real models, and a few whole ones.

Parts are models too, so a mutant of one costs milliseconds; the first operators of a stock file keep what cutting
folds away (float16 weights that are unpacked at load time, sparse ones).
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.split.model import split_model
from inference.tflite.graph import parse_graph
from inference.tflite.write import pack

_FIRST_OPERATORS = 24
# File -> worker parts taken out of it, by legal cuts; (0, 0) stands for the first operators of the stock file.
_PARTS: dict[str, tuple[tuple[int, int], ...]] = {
    "hand_landmark_lite.tflite": ((0, 0), (5, 12), (20, 26), (58, 65)),
    "palm_detection_lite.tflite": ((0, 0), (2, 12)),
    "face_detection_full_range_sparse.tflite": ((0, 0), (1, 8)),
    "kws_ref_model.tflite": ((-1, -1),),
    "pretrainedResnet_quant.tflite": ((-1, -1),),
    "ppocr_v4_rec.onnx": ((0, 14), (100, 112), (380, 392)),
    "yolox_nano.onnx": ((0, 16),),
}
_WHOLE = ("hand_landmark_lite.tflite",)  # large, so its mutants are few
_SHAPES = {"ppocr_v4_rec.onnx": {"x": (1, 3, 48, 320)}}


def seeds(folders: list[Path], /) -> dict[str, bytes]:
    """Files by name with their suffix; what the folders lack is left out."""
    found = {"made_quantised.onnx": _quantised()}
    for name, spans in _PARTS.items():
        path = next((file for folder in folders for file in sorted(folder.rglob(name))), None)
        if path is None:
            continue
        content = path.read_bytes()
        for start, end in spans:
            found[f"{path.stem}_{start}_{end}{path.suffix}"] = _piece(content, name, start, end)
    return found


def whole_seeds(folders: list[Path], /) -> dict[str, bytes]:
    """Whole stock files by name."""
    paths = {name: next((f for folder in folders for f in folder.rglob(name)), None) for name in _WHOLE}
    return {name: path.read_bytes() for name, path in paths.items() if path is not None}


def _piece(content: bytes, name: str, start: int, end: int) -> bytes:
    if start < 0:
        return content
    if end:
        split = split_model(content, shapes=_SHAPES.get(name))
        legal = [cut.position for cut in split.cuts]
        low, high = (min(legal, key=lambda cut: abs(cut - wanted)) for wanted in (start, end))
        return split.part(low, high)
    document = parse_graph(content).unpack()
    subgraph = document.subgraphs[0]
    computing = [number for number, row in enumerate(subgraph.operators) if len(row.inputs) > 1]
    subgraph.operators = subgraph.operators[: max(computing[1] + 1, _FIRST_OPERATORS)]
    last = next(row for row in reversed(subgraph.operators) if len(row.inputs) > 1)
    subgraph.outputs = np.array(last.outputs, np.int32)
    document.signatureDefs = None
    return pack(document)


def _quantised() -> bytes:
    """Convolution between a quantising and a dequantising operator, with a reshape to a shape read off a tensor."""
    rng = np.random.default_rng(0)
    shape = (1, 3, 8, 8)
    weights = [
        numpy_helper.from_array(rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(np.float32(0.05), "s"),
        numpy_helper.from_array(np.int8(-3), "z"),
        numpy_helper.from_array(np.array([0], np.int64), "zero"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([-1], np.int64), "minus"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Shape", ["c"], ["size"]),
        helper.make_node("Slice", ["size", "zero", "one"], ["first"]),
        helper.make_node("Concat", ["first", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["c", "target"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 256))],
        initializer=weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
