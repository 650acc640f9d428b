"""Int8 versions of .onnx models: smaller, close to the original, and cut like any other."""

import numpy as np
import onnx
import pytest
from onnx import helper

from inference.errors import QuantiseRefusedError
from inference.onnx.split import split_onnx
from inference.quantize.onnx_quantizer import quantise_onnx_dynamic, quantise_onnx_static
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from tests.inference.onnx_made import IMAGE, made, row, weight


def small(opset=17):
    node = helper.make_node
    return made(
        [
            node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["b"]),
            node("Flatten", ["b"], ["c"]),
            node("MatMul", ["c", "m"], ["y"]),
        ],
        inputs=[row("x", IMAGE)],
        outputs=[row("y", (1, 16))],
        weights=[weight("w", 32, 3, 3, 3), weight("m", 2048, 16, seed=1)],
        opset=opset,
    )


def samples(count=8, shape=IMAGE, name="x", seed=0):
    rng = np.random.default_rng(seed)
    return [{name: rng.random(shape, dtype=np.float32)} for _ in range(count)]


def run(content, sample, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    model = open_runtime("onnx", options=RuntimeOptions(optimisation="none")).load(path)
    return model.run([sample[spec.name] for spec in model.inputs()])


def closeness(first, second):
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("opset", [11, 17])
def test_a_static_model_is_smaller_close_and_ships_int8(opset, tmp_path):
    content = small(opset)
    quantised = quantise_onnx_static(content, samples=samples())
    assert len(quantised) < len(content) / 2
    fresh = samples(1, seed=9)[0]
    assert closeness(run(content, fresh, tmp_path)[0], run(quantised, fresh, tmp_path)[0]) > 0.98
    split = split_onnx(quantised)
    crossing = {split.flow.tensors[index].dtype for cut in split.cuts for index in cut.crossing}
    assert "uint8" in crossing


def test_a_dynamic_model_needs_no_calibration(tmp_path):
    content = small()
    quantised = quantise_onnx_dynamic(content)
    assert len(quantised) < len(content) / 2
    fresh = samples(1)[0]
    assert closeness(run(content, fresh, tmp_path)[0], run(quantised, fresh, tmp_path)[0]) > 0.98


def test_the_same_calibration_gives_the_same_bytes():
    assert quantise_onnx_static(small(), samples=samples()) == quantise_onnx_static(
        small(), samples=samples()
    )


def test_what_is_kept_float_has_no_int8_weights():
    quantised = onnx.load_model_from_string(
        quantise_onnx_static(small(), samples=samples(), keep_float=["y"])
    )
    kinds = {tensor.name: tensor.data_type for tensor in quantised.graph.initializer}
    assert kinds["m"] == onnx.TensorProto.FLOAT
    assert "w" not in kinds


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"samples": []}, "no calibration inputs"),
        ({"samples": samples(name="z")}, "the model takes"),
        ({"samples": [{"x": np.full(IMAGE, np.nan, np.float32)}]}, "no numbers"),
        ({"samples": samples(shape=(1, 3, 9, 9))}, "quantiser failed"),
        ({"samples": samples(), "keep_float": ["nowhere"]}, "no operator is called"),
    ],
)
def test_calibration_that_does_not_fit_is_refused(more, reason):
    with pytest.raises(QuantiseRefusedError, match=reason):
        quantise_onnx_static(small(), **more)


def test_a_model_without_weights_is_refused_as_nothing_became_int8():
    content = made(
        [helper.make_node("Relu", ["x"], ["y"])], inputs=[row("x", IMAGE)], outputs=[row("y", IMAGE)]
    )
    with pytest.raises(QuantiseRefusedError, match="no weight became int8"):
        quantise_onnx_dynamic(content)
