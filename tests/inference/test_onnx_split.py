"""Parts of .onnx models give the whole's bits where the engine does not rewrite across the cut."""

import random
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.errors import GraphError, RuntimeMissingError
from inference.onnx.split import split_onnx
from inference.packages.zoo import ZooError, fetch
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model
from inference.split.placed import open_part, run_whole
from tests.conftest import missing
from tests.inference.onnx_made import (
    IMAGE,
    detector_model,
    half_model,
    made,
    qdq_model,
    quantised_model,
    row,
    skip_model,
)

SHAPES = {"ppocr_v4_det": {"x": (1, 3, 64, 96)}, "ppocr_v4_rec": {"x": (1, 3, 48, 64)}}
PAIRS = 3


@pytest.fixture(scope="module")
def exact():
    return open_runtime("onnx", options=RuntimeOptions(optimisation="none"))


@pytest.fixture(scope="module")
def text_models(cache):
    try:
        return fetch("text", cache / "models")
    except ZooError as error:
        missing(str(error))


def inputs_of(split, seed=0):
    rng = np.random.default_rng(seed)
    tensors = [split.flow.tensors[index] for index in split.flow.inputs]
    return {row.name: rng.random(row.shape).astype(row.dtype) for row in tensors}


def outputs_of(split, positions, *, runtime, inputs, threads=(1, 1, 1)):
    """Bytes of the outputs, with the model cut at these positions."""
    edges = [0, *positions, len(split.flow.operators)]
    parts = [
        open_part(split, start, end, runtime=runtime, threads=count)
        for (start, end), count in zip(pairwise(edges), threads, strict=False)
        if start < end
    ]
    values = run_whole(parts, inputs)
    for part in parts:
        part.close()
    names = [split.flow.tensors[index].name for index in split.flow.outputs]
    return {name: (values[name].dtype, values[name].shape, values[name].tobytes()) for name in names}


def whole_of(content, *, runtime, inputs, tmp_path):
    """The same from the file as it is."""
    path = tmp_path / "whole.onnx"
    path.write_bytes(content)
    model = runtime.load(path)
    results = model.run([inputs[spec.name] for spec in model.inputs()])
    named = zip((spec.name for spec in model.outputs()), results, strict=True)
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in named}


@pytest.mark.parametrize(
    "content",
    [
        skip_model(),
        skip_model(ir=3),
        skip_model(batch="n"),
        quantised_model(),
        qdq_model(),
        detector_model(),
        half_model(),
    ],
    ids=["skip", "old", "free batch", "quantised", "quantised all through", "detector", "float16"],
)
def test_every_cut_and_every_pair_of_a_made_model_is_exact(content, exact, tmp_path):
    split = split_onnx(content)
    inputs = inputs_of(split)
    want = whole_of(content, runtime=exact, inputs=inputs, tmp_path=tmp_path)
    positions = [cut.position for cut in split.cuts]
    assert len(positions) >= 4
    for start in positions:
        for end in positions:
            if start <= end:
                assert outputs_of(split, (start, end), runtime=exact, inputs=inputs) == want, (start, end)


@pytest.mark.parametrize("name", SHAPES)
def test_sampled_cuts_of_the_text_models_are_exact_at_equal_thread_count(name, text_models, exact, tmp_path):
    content = text_models[name].read_bytes()
    _check_sampled(content, shapes=SHAPES[name], runtime=exact, tmp_path=tmp_path)


def _check_sampled(content, *, shapes, runtime, tmp_path):
    split = split_onnx(content, shapes=shapes)
    inputs = inputs_of(split)
    want = whole_of(content, runtime=runtime, inputs=inputs, tmp_path=tmp_path)
    dice = random.Random(1)
    positions = [cut.position for cut in split.cuts]
    for _ in range(PAIRS):
        pair = sorted(dice.sample(positions, 2))
        assert outputs_of(split, pair, runtime=runtime, inputs=inputs) == want, pair


def test_a_cut_between_quantising_and_back_ships_int8():
    split = split_onnx(quantised_model())
    payloads = {cut.position: cut.payload_bytes for cut in split.cuts}
    assert payloads[2] * 4 == payloads[1] == payloads[3]
    tail = onnx.load_model_from_string(split.part(2, 4))
    assert tail.graph.input[0].type.tensor_type.elem_type == TensorProto.INT8


def test_int8_crosses_wherever_a_quantised_model_has_it_and_weights_stay_int8_in_parts():
    split = split_onnx(qdq_model())
    tensors = split.flow.tensors
    crossing = {tensors[index].name: tensors[index].dtype for cut in split.cuts for index in cut.crossing}
    assert {name for name, dtype in crossing.items() if dtype == "int8"} == {"x_q", "b_q", "d_q"}
    assert (tensors[[row.name for row in tensors].index("b_q")].scale) == pytest.approx(0.02)
    conv = next(place for place, operator in enumerate(split.flow.operators) if operator.kind == "Conv")
    part = onnx.load_model_from_string(split.part(conv, conv + 1))
    assert {tensor.name: tensor.data_type for tensor in part.graph.initializer}["w"] == TensorProto.INT8
    assert [node.op_type for node in part.graph.node] == ["DequantizeLinear", "Conv"]


def test_a_part_brings_only_what_it_reads_and_says_every_shape():
    source = onnx.load_model_from_string(skip_model())
    split = split_onnx(skip_model())
    part = onnx.load_model_from_string(split.part(3, 5))
    onnx.checker.check_model(part, full_check=True)
    assert [tensor.name for tensor in part.graph.initializer] == ["two"]
    assert [node.op_type for node in part.graph.node] == ["Cast", "Mul", "Add"]
    assert part.ir_version == source.ir_version
    assert list(part.opset_import) == list(source.opset_import)
    assert [row.name for row in part.graph.input] == ["a", "b"] == list(split.part_inputs(3, 5))
    assert [row.name for row in part.graph.output] == ["d"] == list(split.part_outputs(3, 5))
    sizes = [size.dim_value for size in part.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == [1, 4, 8, 8]


def test_a_whole_part_lists_inputs_and_outputs_as_the_file_does():
    split = split_onnx(skip_model())
    last = len(split.flow.operators)
    assert split.part_inputs(0, last) == ("x",)
    assert split.part_outputs(0, last) == ("y", "aside")


def test_the_same_file_gives_the_same_bytes():
    first, second = split_onnx(skip_model()), split_onnx(skip_model())
    assert first.part(1, 5) == second.part(1, 5) == first.part(1, 5)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [(2, 2, "no operator"), (3, 1, "no operator"), (0, 99, "no legal cut"), (0, 3, "nearest is")],
)
def test_a_range_that_is_no_part_is_refused(start, end, reason):
    split = split_onnx(detector_model())
    with pytest.raises(GraphError, match=reason):
        split.part(start, end)


def test_an_input_that_is_an_output_too_belongs_to_no_part(exact):
    content = made(
        [helper.make_node("Relu", ["x"], ["y"])],
        inputs=[row("x", IMAGE)],
        outputs=[row("x", IMAGE), row("y", IMAGE)],
    )
    split = split_onnx(content)
    assert split.part_outputs(0, 1) == ("y",)
    inputs = inputs_of(split)
    assert set(outputs_of(split, (), runtime=exact, inputs=inputs)) == {"x", "y"}


def test_an_optimisation_that_onnxruntime_lacks_is_refused_with_the_list_of_those_it_has():
    with pytest.raises(RuntimeMissingError, match="none, basic, extended, all"):
        open_runtime("onnx", options=RuntimeOptions(optimisation="most"))


def test_the_front_cuts_onnx_files_like_tflite_files():
    content = skip_model(batch="n")
    split = split_model(content, shapes={"x": (2, *IMAGE[1:])})
    assert split.flow.file_format == "onnx"
    assert split.part(1, 4) == split_onnx(content, shapes={"x": (2, *IMAGE[1:])}).part(1, 4)
