"""What an .onnx file becomes as a flow, and what is refused with operator and reason."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.errors import GraphError
from inference.onnx import bounds as onnx_bounds
from inference.onnx import shapes as onnx_shapes
from inference.onnx.flow import onnx_flow, onnx_graph
from tests.inference.onnx_made import (
    IMAGE,
    detector_model,
    ints,
    made,
    quantised_model,
    relu_with,
    row,
    skip_model,
    weight,
)

node = helper.make_node


def simple(*nodes, weights=(), x=IMAGE, y=None, **more):
    return made(list(nodes), inputs=[row("x", x)], outputs=[row("y", y)], weights=weights, **more)


def test_operators_that_follow_from_constants_or_shapes_are_no_positions():
    flow = onnx_flow(skip_model())
    assert [operator.kind for operator in flow.operators] == [
        "Conv",
        "Relu",
        "Sigmoid",
        "Mul",
        "Add",
        "Reshape",
        "MatMul",
    ]
    names = {tensor.name: tensor for tensor in flow.tensors}
    assert {name for name, tensor in names.items() if tensor.constant} == {"w", "m", "half", "target"}
    assert names["e"].shape == (1, 256)
    assert names["d"].payload_bytes == 4 * 8 * 8 * 4
    assert [flow.tensors[index].name for index in flow.inputs] == ["x"]
    assert [flow.tensors[index].name for index in flow.outputs] == ["y", "aside"]


def test_a_free_batch_dimension_becomes_one_and_is_reported():
    graph = onnx_graph(skip_model(batch="n"))
    assert graph.fixed == {"x": IMAGE}
    assert onnx_graph(skip_model()).fixed == {}


def test_a_chosen_shape_reaches_every_tensor():
    flow = onnx_flow(skip_model(batch="n"), shapes={"x": (3, 3, 8, 8)})
    assert {tensor.shape[0] for tensor in flow.tensors if not tensor.constant} == {3}


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({}, "free dimensions"),
        ({"x": (1, 3, 8)}, "does not fit"),
        ({"x": (1, 4, 8, 8)}, "does not fit"),
        ({"x": (1, 3, 8, 0)}, "does not fit"),
        ({"z": IMAGE}, "no input z"),
        ({"x": (1, 3, 1 << 20, 1 << 20)}, "smaller input shapes"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(shapes, reason):
    content = simple(node("Relu", ["x"], ["y"]), x=(1, 3, "h", "w"))
    with pytest.raises(GraphError, match=reason):
        onnx_flow(content, shapes=shapes)


def test_operators_appended_out_of_order_are_sorted_and_others_keep_theirs():
    content = simple(node("Relu", ["b"], ["y"]), node("Abs", ["x"], ["a"]), node("Neg", ["a"], ["b"]))
    assert [operator.kind for operator in onnx_flow(content).operators] == ["Abs", "Neg", "Relu"]


def test_operators_that_no_output_needs_are_left_out():
    content = simple(node("Abs", ["x"], ["lost"]), node("Relu", ["x"], ["y"]))
    assert [operator.kind for operator in onnx_flow(content).operators] == ["Relu"]


def test_a_quantised_tensor_has_its_scale():
    tensors = {tensor.name: tensor for tensor in onnx_flow(quantised_model()).tensors}
    assert (tensors["q"].dtype, tensors["q"].scale, tensors["q"].zero_point) == ("int8", np.float32(0.05), -3)
    assert tensors["b"].scale is None


def test_behind_an_operator_whose_result_has_any_length_the_model_stays_whole():
    flow = onnx_flow(detector_model())
    assert [operator.kind for operator in flow.operators][2] == "NonMaxSuppression"
    assert flow.whole == ((2, 5),)


def test_stored_values_listed_as_inputs_are_no_inputs():
    flow = onnx_flow(skip_model(ir=3))
    assert [flow.tensors[index].name for index in flow.inputs] == ["x"]


def _branch():
    inner = helper.make_graph([node("Relu", ["x"], ["in_y"])], "inner", [], [row("in_y", IMAGE)])
    return simple(
        node("If", ["yes"], ["y"], name="fork", then_branch=inner, else_branch=inner),
        weights=[numpy_helper.from_array(np.array(True), "yes")],
    )


def _outside():
    tensor = weight("w", 3)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return simple(node("Mul", ["x", "w"], ["y"]), weights=[tensor])


def _sequence():
    return simple(node("SequenceConstruct", ["x"], ["s"]), node("ConcatFromSequence", ["s"], ["y"], axis=0))


REFUSED = {
    "control flow": (_branch, "If 'fork' is control flow"),
    "another domain": (
        lambda: simple(node("Gelu", ["x"], ["y"], name="g", domain="com.microsoft")),
        "Gelu 'g' belongs to the domain 'com.microsoft'",
    ),
    "randomness": (
        lambda: simple(node("RandomNormalLike", ["x"], ["y"], name="r")),
        "RandomNormalLike 'r' draws",
    ),
    "dropout": (
        lambda: simple(
            node("Dropout", ["x", "", "t"], ["y"], name="d"),
            weights=[numpy_helper.from_array(np.array(True), "t")],
        ),
        "Dropout 'd' may drop",
    ),
    "outside weights": (_outside, "weight 'w' is kept in a file beside the model"),
    "a sequence": (_sequence, "'s' is no tensor"),
    "text": (
        lambda: made(
            [node("Identity", ["x"], ["y"])],
            inputs=[row("x", (1,), TensorProto.STRING)],
            outputs=[row("y", (1,), TensorProto.STRING)],
        ),
        "is of type STRING, which cannot travel",
    ),
    "a shape read from data": (
        lambda: made(
            [node("Reshape", ["x", "to"], ["a"], name="re"), node("Relu", ["a"], ["y"])],
            inputs=[row("x", (4,)), row("to", (2,), TensorProto.INT64)],
            outputs=[row("y", ("a", "b"))],
        ),
        "Reshape 're' has a shape that only a run tells",
    ),
    "a constant output": (
        lambda: made(
            [node("Relu", ["w"], ["y"])],
            inputs=[row("x", (1,))],
            outputs=[row("y", (3,))],
            weights=[weight("w", 3)],
        ),
        "'y' is the same for every input",
    ),
    "a circle": (lambda: simple(node("Add", ["x", "b"], ["y"]), node("Relu", ["y"], ["b"])), "in a circle"),
    "two makers": (
        lambda: simple(node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])),
        "two operators yield 'y'",
    ),
    "nothing": (lambda: made([], inputs=[row("x", (1,))], outputs=[row("x", (1,))]), "no operators"),
    "contradicting shapes": (
        lambda: simple(node("MatMul", ["x", "m"], ["y"]), weights=[weight("m", 7, 2)]),
        "contradict",
    ),
    "functions": (
        lambda: relu_with(
            functions=helper.make_function(
                "own", "Twice", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
            )
        ),
        r"defines functions \(Twice\)",
    ),
    "training": (lambda: relu_with(training_info=onnx.TrainingInfoProto()), "training steps"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cut_is_refused_by_name(case):
    make, reason = REFUSED[case]
    with pytest.raises(GraphError, match=reason):
        onnx_flow(make())


def test_damaged_bytes_are_refused_and_nothing_else_is_raised():
    dice = random.Random(5)
    models = [skip_model(), quantised_model(), detector_model()]
    refused = 0
    for _ in range(300):
        content = bytearray(dice.choice(models))
        for _ in range(dice.randint(1, 8)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        if dice.random() < 0.3:
            del content[dice.randrange(len(content)) :]
        try:
            onnx_flow(bytes(content))
        except GraphError:
            refused += 1
    assert refused > 100


def _field(number, content):
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + content


@pytest.mark.parametrize(
    "inner", [b"\x0a\x00" * 3000, _field(1, b"\x2a\x00" * 3000)], ids=["operators", "attributes"]
)
def test_a_small_file_of_countless_empty_messages_is_refused_before_it_is_parsed(inner, monkeypatch):
    monkeypatch.setattr(onnx_bounds, "MAX_ENTRIES", 1000)
    monkeypatch.setattr(onnx, "load_model_from_string", None)
    with pytest.raises(GraphError, match="more than 1000 operators"):
        onnx_flow(b"\x08\x08" + _field(7, inner))


@pytest.mark.parametrize(
    "content", [b"\x08", b"\x08" + b"\xff" * 20, b"\x0b\x00", b"\x3a\x7f", b"\x3a\x02\x0a\x05"]
)
def test_bytes_that_are_no_messages_are_refused_where_they_stop_being_some(content):
    with pytest.raises(GraphError, match="no field can be read at byte"):
        onnx_flow(content)


def test_constants_that_would_spread_over_each_other_without_end_are_left_alone(monkeypatch):
    """Six constants of 64 values, each along an axis of its own: 64 to the sixth values together."""
    monkeypatch.setattr(onnx_shapes, "_evaluate", None)
    grown = [np.arange(64).reshape([64 if axis == own else 1 for axis in range(6)]) for own in range(6)]
    content = simple(
        node("Max", [f"c{own}" for own in range(6)], ["lost"]),
        node("Relu", ["x"], ["y"]),
        weights=[numpy_helper.from_array(values, f"c{own}") for own, values in enumerate(grown)],
        opset=13,
    )
    with pytest.raises(GraphError, match="smaller input shapes"):
        onnx_flow(content)


def test_arithmetic_on_shapes_that_cannot_be_worked_out_is_refused():
    content = simple(
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "far"], ["t"], name="pick"),
        node("Reshape", ["x", "t"], ["y"]),
        weights=[ints("far", 9)],
    )
    with pytest.raises(GraphError):
        onnx_flow(content)


def test_an_input_without_any_shape_is_refused():
    content = made([node("Relu", ["x"], ["y"])], inputs=[row("x", None)], outputs=[row("y", None)])
    with pytest.raises(GraphError, match="shape"):
        onnx_flow(content, shapes={"x": (1,)})


def test_a_negative_size_counts_as_free():
    content = simple(node("Relu", ["x"], ["y"]), x=(-1, 3, 8, 8))
    assert onnx_graph(content).fixed == {"x": IMAGE}


@pytest.mark.parametrize("start", ["empty", "w"])
def test_a_chain_that_doubles_a_constant_is_refused_before_it_fills_the_memory(start):
    nodes = [helper.make_node("Concat", [start, "w"], ["g0"], axis=0)]
    nodes += [helper.make_node("Concat", [f"g{n}", f"g{n}"], [f"g{n + 1}"], axis=0) for n in range(40)]
    nodes += [helper.make_node("Reshape", ["x", "g40"], ["y"])]
    weights = [ints("w", 1, 1, 2), ints("empty")]
    content = made(nodes, inputs=[row("x", (1, 2))], outputs=[row("y", (1, 2))], weights=weights)
    with pytest.raises(GraphError, match="joins constants to"):
        onnx_flow(content)
