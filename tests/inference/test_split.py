"""Parts of .tflite files: valid models with the whole's answers, made the same way each time."""

import itertools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from inference.errors import GraphError, ModelInputError
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model
from inference.split.placed import open_part, run_whole
from inference.tflite.graph import parse_graph
from tests.inference.made_tflite import Made


@pytest.fixture(scope="module")
def landmark(models_dir):
    return split_model((models_dir / "hand_landmark_lite.tflite").read_bytes())


def _run(content: bytes, borders, **values):
    split = split_model(content)
    engine = open_runtime("litert")
    parts = [
        open_part(split, start, end, runtime=engine)
        for start, end in itertools.pairwise(borders)
        if start < end
    ]
    return run_whole(parts, values)


def _x(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_constants_are_folded_before_cuts_are_looked_for(landmark):
    assert {operator.kind for operator in landmark.flow.operators}.isdisjoint({"DEQUANTIZE"})
    assert len(landmark.cuts) == len(landmark.flow.operators) + 1


def test_a_part_is_a_signed_model_that_has_only_what_it_needs(landmark, models_dir):
    middle = len(landmark.flow.operators) // 2
    parts = [landmark.part(0, middle), landmark.part(middle, len(landmark.flow.operators))]
    whole = landmark.part(0, len(landmark.flow.operators))
    for part, (start, end) in zip(parts, [(0, middle), (middle, len(landmark.flow.operators))], strict=True):
        graph = parse_graph(part)
        assert graph.signature == "serving_default"
        assert [graph.tensors[i].name for i in graph.inputs] == list(landmark.part_inputs(start, end))
        assert [graph.tensors[i].name for i in graph.outputs] == list(landmark.part_outputs(start, end))
    assert sum(map(len, parts)) < 1.1 * len(whole)


def test_the_same_file_gives_the_same_parts(landmark, models_dir):
    again = split_model((models_dir / "hand_landmark_lite.tflite").read_bytes())
    assert again.part(7, 30) == landmark.part(7, 30)


def test_metadata_that_names_tensors_stays_behind(landmark):
    names = {row.name for row in parse_graph(landmark.part(3, 9)).unpack().metadata}
    assert b"TFLITE_METADATA" not in names
    assert b"min_runtime_version" in names


def test_constants_that_lie_behind_the_flatbuffer_come_into_the_parts_that_need_them():
    first, second = _x(1, 2, 3, 4), _x(5, 6, 7, 8)
    made = Made()
    made.constant("first", first)
    made.constant("second", second)
    made.operator("MUL", ["x", "first"], ["a"])
    made.operator("ADD", ["a", "second"], ["y"])
    inside = split_model(made.content())
    behind = len(made.content()) + 64
    made.buffers[1:] = [schema.BufferT(offset=behind + 16 * place, size=16) for place in range(2)]
    content = made.content().ljust(behind, b"\0") + first.tobytes() + second.tobytes()
    split = split_model(content)
    for start, end in ((0, 1), (1, 2), (0, 2)):
        assert split.part(start, end) == inside.part(start, end)
    assert second.tobytes() not in split.part(0, 1)
    assert _run(content, [0, 1, 2], x=_x(1, 1, 1, 1))["y"].tolist() == [[6, 8, 10, 12]]


def test_options_that_lie_behind_the_flatbuffer_come_into_the_part_of_their_operator():
    made = Made(outputs=("boxes",))
    made.operator("MUL", ["x", "x"], ["a"])
    operator = made.operator("CUSTOM", ["a", "x"], ["boxes"], custom="TFLite_Detection_PostProcess")
    behind = len(made.content()) + 64
    operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize = behind, 6
    content = made.content().ljust(behind, b"\0") + b"option"
    split = split_model(content)
    assert bytes(parse_graph(split.part(1, 2)).unpack().subgraphs[0].operators[0].customOptions) == b"option"
    with pytest.raises(GraphError, match="cut short"):
        split_model(content[:-1])


def _signed(key: str, inputs: dict[str, int], outputs: dict[str, int]):
    signature = schema.SignatureDefT(signatureKey=key, subgraphIndex=0)
    signature.inputs = [schema.TensorMapT(name=name, tensorIndex=index) for name, index in inputs.items()]
    signature.outputs = [schema.TensorMapT(name=name, tensorIndex=index) for name, index in outputs.items()]
    return signature


def test_a_model_with_several_signatures_is_cut_as_one_without():
    """Parts are joined by tensor names; what the file's signatures call them, in what order, does not matter."""
    made = Made(inputs=("x", "w"), outputs=("y", "z"))
    made.operator("SUB", ["x", "w"], ["y"])
    made.operator("MUL", ["y", "x"], ["z"])
    plain = split_model(made.content())
    x, w, y, z = (list(made.tensors).index(name) for name in "xwyz")
    made.document.signatureDefs = [
        _signed("serve", {"second": w, "first": x}, {"b": z, "a": y}),
        _signed("only_difference", {"first": x, "second": w}, {"a": y}),
    ]
    content = made.content()
    split = split_model(content)
    assert [split.part(start, end) for start, end in ((0, 1), (1, 2))] == [
        plain.part(start, end) for start, end in ((0, 1), (1, 2))
    ]
    values = _run(content, [0, 1, 2], x=_x(3, 4, 5, 6), w=_x(1, 1, 1, 2))
    assert [values[name].tolist() for name in ("y", "z")] == [[[2, 3, 4, 4]], [[6, 12, 20, 24]]]
    assert values["z"].tobytes() == _run(content, [0, 2], x=_x(3, 4, 5, 6), w=_x(1, 1, 1, 2))["z"].tobytes()


def test_a_skip_connection_and_a_tensor_read_twice_survive_every_pair_of_cuts():
    made = Made()
    made.operator("MUL", ["x", "x"], ["square"])
    made.operator("ADD", ["square", "x"], ["sum"])
    made.operator("SUB", ["sum", "square"], ["difference"])
    made.operator("MUL", ["difference", "x"], ["y"])
    content = made.content()
    for start in range(5):
        for end in range(start, 5):
            values = _run(content, [0, start, end, 4], x=_x(1, 2, 3, 4))
            assert values["y"].tolist() == [[1, 4, 9, 16]]


def test_a_middle_part_does_not_carry_what_passes_it_by():
    made = Made()
    made.operator("MUL", ["x", "x"], ["a"])
    made.operator("ADD", ["a", "a"], ["b"])
    made.operator("SUB", ["b", "x"], ["y"])
    split = split_model(made.content())
    assert split.part_inputs(1, 2) == ("a",)
    assert split.part_outputs(1, 2) == ("b",)
    assert split.part_inputs(2, 3) == ("x", "b")


def test_an_input_that_is_an_output_as_it_comes_and_one_that_is_ready_early():
    made = Made(outputs=("y", "x", "a"))
    made.operator("MUL", ["x", "x"], ["a"])
    made.operator("ADD", ["a", "x"], ["y"])
    for cut in range(3):
        values = _run(made.content(), [0, cut, 2], x=_x(1, 2, 3, 4))
        assert [values[name].tolist() for name in ("y", "x", "a")] == [
            [[2, 6, 12, 20]],
            [[1, 2, 3, 4]],
            [[1, 4, 9, 16]],
        ]


def test_tensors_that_share_a_name_are_told_apart():
    made = Made()
    made.operator("MUL", ["x", "x"], ["a"])
    made.operator("ADD", ["a", "x"], ["b"])
    made.operator("ADD", ["b", "a"], ["y"])
    made.tensors["a"].name = made.tensors["b"].name = "same"
    content = made.content()
    names = [tensor.name for tensor in split_model(content).flow.tensors]
    assert len(set(names)) == len(names)
    assert _run(content, [0, 1, 2, 3], x=_x(1, 2, 3, 4))["y"].tolist() == [[3, 10, 21, 36]]


def test_constants_that_are_not_folded_go_with_every_part_that_needs_them():
    made = Made()
    made.constant("c", _x(1, 1, 2, 2))
    made.operator("ADD", ["c", "c"], ["twice"])
    made.operator("MUL", ["x", "twice"], ["a"])
    made.operator("ADD", ["a", "twice"], ["y"])
    split = split_model(made.content())
    assert {operator.kind for operator in split.flow.operators} == {"ADD", "MUL"}
    assert all(split.flow.tensors[i].name != "twice" for cut in split.cuts for i in cut.crossing)
    assert _run(made.content(), [0, 2, 3], x=_x(1, 2, 3, 4))["y"].tolist() == [[4, 6, 16, 20]]


def test_shapes_and_packed_constants_fold():
    made = Made()
    made.constant("one", np.array(1, np.int32))
    made.constant("four", np.array(4, np.int32))
    made.tensor("wanted", shape=(2,), dtype="int32")
    made.operator("PACK", ["one", "four"], ["wanted"])
    made.operator("RESHAPE", ["x", "wanted"], ["flat"])
    made.operator("ADD", ["flat", "flat"], ["y"])
    split = split_model(made.content())
    assert [operator.kind for operator in split.flow.operators] == ["RESHAPE", "ADD"]
    assert _run(made.content(), [0, 1, 2], x=_x(1, 2, 3, 4))["y"].tolist() == [[2, 4, 6, 8]]


def _random(made: Made) -> None:
    made.operator("RANDOM_UNIFORM", ["x"], ["y"])


def _free_shape(made: Made) -> None:
    made.operator("ADD", ["x", "x"], ["y"])
    made.tensors["x"].shapeSignature = np.array([1, -1], np.int32)


def _size_at_run_time(made: Made) -> None:
    made.tensor("size", shape=(2,), dtype="int32")
    made.inputs = ("x", "size")
    made.operator("RESHAPE", ["x", "size"], ["y"])


def _per_channel(made: Made) -> None:
    made.operator("ADD", ["x", "x"], ["y"])
    made.tensors["x"].quantization = schema.QuantizationParametersT(
        scale=np.ones(4, np.float32), zeroPoint=np.zeros(4, np.int64)
    )


def _words(made: Made) -> None:
    made.tensor("w", dtype="string")
    made.inputs = ("w", "x")
    made.operator("ADD", ["x", "x"], ["y"])


def _custom(made: Made) -> None:
    made.operator("CUSTOM", ["x"], ["y"], custom="Mystery")


def _out_of_order(made: Made) -> None:
    made.operator("ADD", ["x", "a"], ["y"])
    made.operator("ADD", ["x", "x"], ["a"])


def _written_twice(made: Made) -> None:
    made.operator("ADD", ["x", "x"], ["y"])
    made.operator("MUL", ["x", "x"], ["y"])


def _wrong_constant(made: Made) -> None:
    made.constant("c", np.zeros((2, 2), np.float16))
    made.operator("DEQUANTIZE", ["c"], ["wide"])
    made.operator("ADD", ["x", "wide"], ["y"])


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_random, r"RANDOM_UNIFORM.*random numbers"),
        (_free_shape, r"dynamic shape \[1, -1\]"),
        (_size_at_run_time, r"RESHAPE.*only known at run time"),
        (_per_channel, "per channel"),
        (_words, "type string"),
        (_custom, "custom operators"),
        (_out_of_order, "before it exists"),
        (_written_twice, "has its values already"),
        (_wrong_constant, r"DEQUANTIZE of constants gives float32\[2, 2\]"),
    ],
)
def test_what_cannot_be_cut_safely_is_refused_with_operator_and_reason(build, reason):
    made = Made()
    build(made)
    with pytest.raises(GraphError, match=reason):
        split_model(made.content())


def test_detection_post_processing_stays_whole_to_the_end():
    made = Made(outputs=("boxes", "after"))
    made.operator("MUL", ["x", "x"], ["a"])
    made.operator("CUSTOM", ["a", "x"], ["boxes"], custom="TFLite_Detection_PostProcess")
    made.operator("ADD", ["boxes", "boxes"], ["after"])
    made.tensors["boxes"].shape = np.array([], np.int32)
    split = split_model(made.content())
    assert [cut.position for cut in split.cuts] == [0, 1, 3]
    assert split.part_inputs(1, 3) == ("x", "a")


def test_a_part_names_the_tensor_that_it_misses(landmark):
    part = open_part(landmark, 3, 9, runtime=open_runtime("litert"))
    with pytest.raises(ModelInputError, match="pass every tensor"):
        part.run({})


@pytest.mark.parametrize("content", [b"", b"text that is no model"])
def test_files_of_neither_format_are_refused(content):
    with pytest.raises(GraphError, match="neither"):
        split_model(content)


def test_damaged_files_are_split_or_refused_but_nothing_else(models_dir):
    rng = np.random.default_rng(3)
    original = (models_dir / "hand_landmark_lite.tflite").read_bytes()
    refused = 0
    for _ in range(20):
        content = bytearray(original)
        for position in rng.integers(len(original) - 60_000, len(original), 8):
            content[position] = int(rng.integers(256))
        try:
            split_model(bytes(content))
        except GraphError:
            refused += 1
    assert refused
