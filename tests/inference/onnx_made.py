"""Small .onnx models made on the spot."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = (1, 3, 8, 8)


def row(name, shape, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


def weight(name, *shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def made(nodes, *, inputs, outputs, weights=(), ir=9, opset=17, **more):
    """Bytes of a model with these operators."""
    graph = helper.make_graph(nodes, "made", list(inputs), list(outputs), initializer=list(weights))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, **more).SerializeToString()


def skip_model(*, batch=1, ir=9):
    """A convolution, two branches that meet again, and a reshape to a shape read off a tensor.

    ``aside`` is an output that is there early; ``half`` is a constant that is worked out.
    """
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        node("Cast", ["two"], ["half"], to=TensorProto.FLOAT),
        node("Relu", ["a"], ["b"], name="relu"),
        node("Sigmoid", ["b"], ["aside"], name="side"),
        node("Mul", ["b", "half"], ["c"], name="mul"),
        node("Add", ["a", "c"], ["d"], name="add"),
        node("Shape", ["d"], ["shape"]),
        node("Slice", ["shape", "zero", "one"], ["first"]),
        node("Concat", ["first", "minus"], ["target"], axis=0),
        node("Reshape", ["d", "target"], ["e"], name="reshape"),
        node("MatMul", ["e", "m"], ["y"], name="matmul"),
    ]
    weights = [
        weight("w", 4, 3, 3, 3),
        weight("m", 256, 5, seed=1),
        weight("unused", 2, 2),
        numpy_helper.from_array(np.full((4, 8, 8), 2.0), "two"),
        ints("zero", 0),
        ints("one", 1),
        ints("minus", -1),
    ]
    inputs = [row("x", (batch, *IMAGE[1:]))]
    if ir < 4:
        inputs += [row(tensor.name, tensor.dims, tensor.data_type) for tensor in weights]
    outputs = [row("y", (batch, 5)), row("aside", (batch, 4, 8, 8))]
    return made(nodes, inputs=inputs, outputs=outputs, weights=weights, ir=ir)


def quantised_model():
    """Float in, one tensor quantised and back, float out."""
    node = helper.make_node
    return made(
        [
            node("Relu", ["x"], ["a"]),
            node("QuantizeLinear", ["a", "s", "z"], ["q"]),
            node("DequantizeLinear", ["q", "s", "z"], ["b"]),
            node("Sigmoid", ["b"], ["y"]),
        ],
        inputs=[row("x", IMAGE)],
        outputs=[row("y", IMAGE)],
        weights=[
            numpy_helper.from_array(np.float32(0.05), "s"),
            numpy_helper.from_array(np.int8(-3), "z"),
        ],
    )


def qdq_model():
    """A convolution and a matrix product as quantisers write them: int8 weights, a pair around each tensor."""
    node = helper.make_node
    rng = np.random.default_rng(4)
    conv = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    product = rng.integers(-127, 128, (256, 5)).astype(np.int8)
    scales = (rng.random(4) * 0.02 + 0.001).astype(np.float32)

    def pair(name, scale):
        return [
            node("QuantizeLinear", [name, scale, "zero"], [f"{name}_q"]),
            node("DequantizeLinear", [f"{name}_q", scale, "zero"], [f"{name}_d"]),
        ]

    return made(
        [
            *pair("x", "x_scale"),
            node("DequantizeLinear", ["w", "w_scales", "w_zeros"], ["w_d"], axis=0),
            node("Conv", ["x_d", "w_d"], ["a"], pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["b"]),
            *pair("b", "b_scale"),
            node("Reshape", ["b_d", "flat"], ["c"]),
            node("DequantizeLinear", ["m", "b_scale", "zero"], ["m_d"]),
            node("MatMul", ["c", "m_d"], ["d"]),
            *pair("d", "d_scale"),
            node("Identity", ["d_d"], ["y"]),
        ],
        inputs=[row("x", IMAGE)],
        outputs=[row("y", (1, 5))],
        weights=[
            numpy_helper.from_array(conv, "w"),
            numpy_helper.from_array(product, "m"),
            numpy_helper.from_array(scales, "w_scales"),
            numpy_helper.from_array(np.zeros(4, np.int8), "w_zeros"),
            numpy_helper.from_array(np.int8(-5), "zero"),
            ints("flat", 1, 256),
            *(
                numpy_helper.from_array(np.float32(value), name)
                for name, value in (("x_scale", 0.004), ("b_scale", 0.02), ("d_scale", 0.5))
            ),
        ],
    )


def detector_model():
    """Boxes and scores through NonMaxSuppression, whose result has as many rows as it finds."""
    node = helper.make_node
    return made(
        [
            node("Relu", ["boxes"], ["some_boxes"]),
            node("Sigmoid", ["scores"], ["some_scores"]),
            node(
                "NonMaxSuppression",
                ["some_boxes", "some_scores", "most", "iou", "floor"],
                ["kept"],
                name="nms",
            ),
            node("Cast", ["kept"], ["kept32"], to=TensorProto.INT32),
            node("Neg", ["kept32"], ["y"]),
        ],
        inputs=[row("boxes", (1, 6, 4)), row("scores", (1, 1, 6))],
        outputs=[row("y", ("n", 3), TensorProto.INT32)],
        weights=[
            ints("most", 4),
            numpy_helper.from_array(np.array([0.5], np.float32), "iou"),
            numpy_helper.from_array(np.array([0.1], np.float32), "floor"),
        ],
    )


def half_model():
    """Operators that CPUs have no float16 kernels for, so that engines run them in float32."""
    node = helper.make_node
    values = np.random.default_rng(3).standard_normal((4, 3, 3, 3)).astype(np.float16)
    return made(
        [
            node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
            node("Conv", ["h", "w"], ["a"], pads=[1, 1, 1, 1]),
            node("Sigmoid", ["a"], ["b"]),
            node("Mul", ["a", "b"], ["c"]),
            node("Concat", ["c", "a"], ["d"], axis=1),
            node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
        ],
        inputs=[row("x", IMAGE)],
        outputs=[row("y", (1, 8, 8, 8))],
        weights=[numpy_helper.from_array(values, "w")],
    )


def relu_with(**fields):
    """A single Relu, with fields of the model's own message replaced."""
    model = onnx.load_model_from_string(
        made([helper.make_node("Relu", ["x"], ["y"])], inputs=[row("x", IMAGE)], outputs=[row("y", IMAGE)])
    )
    for name, value in fields.items():
        getattr(model, name).append(value)
    return model.SerializeToString()
