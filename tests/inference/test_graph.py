"""Graphs: real models read, folded, signed and written with the same answers to the last byte."""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from inference.errors import GraphError
from inference.runtimes.registry import open_runtime
from inference.tflite import bounds as graph_bounds
from inference.tflite.graph import parse_graph, read_graph
from inference.tflite.write import add_signature, fold_float16, name_outputs, operator_counts, pack

STOCK = ("hand_landmark_full", "hand_landmark_lite", "palm_detection_full", "palm_detection_lite")


def _answers(path: Path) -> list[bytes]:
    model = open_runtime("litert").load(path)
    rng = np.random.default_rng(5)
    inputs = [
        rng.random(spec.shape, np.float32)
        if spec.dtype == "float32"
        else rng.integers(0, 100, spec.shape).astype(spec.dtype)
        for spec in model.inputs()
    ]
    return [array.tobytes() for array in model.run(inputs)]


def _assert_same_answers(path: Path, tmp_path: Path) -> None:
    rewritten = add_signature(fold_float16(read_graph(path)))
    (tmp_path / "rewritten.tflite").write_bytes(rewritten.content)
    assert rewritten.signature is not None
    assert _answers(path) == _answers(tmp_path / "rewritten.tflite")


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_model_rewritten_answers_byte_for_byte_the_same(name, models_dir, tmp_path):
    _assert_same_answers(models_dir / f"{name}.tflite", tmp_path)


@pytest.fixture(scope="module")
def landmark(models_dir):
    return read_graph(models_dir / "hand_landmark_full.tflite")


def test_a_graph_tells_its_inputs_outputs_and_operators(landmark):
    assert [landmark.tensors[i].shape for i in landmark.inputs] == [(1, 224, 224, 3)]
    assert [landmark.tensors[i].name for i in landmark.outputs] == [
        "Identity",
        "Identity_1",
        "Identity_2",
        "Identity_3",
    ]
    assert operator_counts(landmark)["CONV_2D"] == 31
    assert landmark.signature is None


def test_folding_leaves_no_float16_and_no_dequantize(landmark):
    folded = fold_float16(landmark)
    assert "DEQUANTIZE" not in operator_counts(folded)
    assert {tensor.dtype for tensor in folded.tensors} == {"float32", "int32"}
    assert len(folded.operators) == len(landmark.operators) - operator_counts(landmark)["DEQUANTIZE"]


def test_folding_a_model_without_float16_changes_no_operator(landmark):
    folded = fold_float16(landmark)
    assert operator_counts(fold_float16(folded)) == operator_counts(folded)


def test_writing_is_deterministic_and_stable(landmark):
    first, second = fold_float16(landmark), fold_float16(landmark)
    assert first.content == second.content
    assert pack(first.unpack()) == first.content


def test_constants_are_aligned_to_16_bytes(landmark):
    folded = fold_float16(landmark)
    start = np.frombuffer(folded.content, np.uint8).ctypes.data
    buffers = [buffer.data for buffer in folded.unpack().buffers if buffer.data is not None]
    offsets = [data.ctypes.data - start for data in buffers if len(data)]
    assert offsets
    assert all(offset % 16 == 0 for offset in offsets)


def test_a_signature_that_is_there_is_kept(landmark):
    signed = add_signature(landmark)
    assert add_signature(signed) is signed


def test_outputs_can_be_named(landmark):
    renamed = name_outputs(add_signature(landmark), ["a", "b", "c", "d"])
    assert [renamed.tensors[i].name for i in renamed.outputs] == ["a", "b", "c", "d"]
    with pytest.raises(GraphError, match="one name per output"):
        name_outputs(landmark, ["a"])


def test_external_buffers_are_brought_in(landmark, tmp_path, models_dir):
    """The schema lets constants lie behind the flatbuffer; a rewrite has them inside."""
    document = landmark.unpack()
    outside = max(range(len(document.buffers)), key=lambda i: _size(document.buffers[i]))
    data = document.buffers[outside].data.tobytes()
    builder_content = _packed_with_external(document, outside, data)
    graph = parse_graph(builder_content)
    (tmp_path / "inside.tflite").write_bytes(pack(graph.unpack()))
    assert _answers(tmp_path / "inside.tflite") == _answers(models_dir / "hand_landmark_full.tflite")
    with pytest.raises(GraphError, match="cut short"):
        parse_graph(builder_content[:-100])


def _size(buffer) -> int:
    return 0 if buffer.data is None else len(buffer.data)


def _packed_with_external(document, index: int, data: bytes) -> bytes:
    def write(offset: int) -> bytes:
        document.buffers[index] = schema.BufferT(data=None, offset=offset, size=len(data))
        builder = flatbuffers.Builder(1024)
        builder.Finish(document.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    size = len(write(1 << 20))
    start = size + (-size % 16)
    return write(start).ljust(start, b"\0") + data


def _changed(landmark, change) -> bytes:
    document = landmark.unpack()
    change(document)
    builder = flatbuffers.Builder(1024)
    builder.Finish(document.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _set_operator(number: int):
    def change(document) -> None:
        document.operatorCodes[0].builtinCode = number
        document.operatorCodes[0].deprecatedBuiltinCode = min(number, 127)

    return change


def _two_subgraphs(document) -> None:
    document.subgraphs = document.subgraphs * 2


def _variable(document) -> None:
    document.subgraphs[0].tensors[0].isVariable = True


def _many_dimensions(document) -> None:
    document.subgraphs[0].tensors[0].shape = np.full(33, 1 << 30, np.int32)


def _lost_tensor(document) -> None:
    document.subgraphs[0].operators[3].outputs = np.array([9999], np.int32)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_two_subgraphs, "2 subgraphs"),
        (_set_operator(schema.BuiltinOperator.WHILE), "control flow"),
        (_set_operator(schema.BuiltinOperator.CUSTOM), "custom operators"),
        (_set_operator(schema.BuiltinOperator.VAR_HANDLE), "state between runs"),
        (_variable, "variable tensors"),
        (_lost_tensor, "does not exist"),
        (_many_dimensions, "33 dimensions"),
    ],
)
def test_what_is_not_one_plain_graph_is_refused_with_the_reason(landmark, change, reason):
    with pytest.raises(GraphError, match=reason):
        parse_graph(_changed(landmark, change))


@pytest.mark.parametrize("content", [b"", b"text that is no model", b"\x10\x00\x00\x00TFL3" + b"\xff" * 64])
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(GraphError, match=r"not a \.tflite|damaged"):
        parse_graph(content)


def _shared(*, subgraphs: int, tensors: int, name: str = "x", buffers: int = 1, data_bytes: int = 1) -> bytes:
    """A file whose lists name one subgraph, one tensor and one buffer again and again."""
    builder = flatbuffers.Builder(1024)
    tensor = schema.TensorT(name=name, shape=np.ones(4, np.int32)).Pack(builder)
    schema.SubGraphStartTensorsVector(builder, tensors)
    for _ in range(tensors):
        builder.PrependUOffsetTRelative(tensor)
    listed = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, listed)
    subgraph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, subgraphs)
    for _ in range(subgraphs):
        builder.PrependUOffsetTRelative(subgraph)
    graphs = builder.EndVector()
    buffer = schema.BufferT(data=np.zeros(data_bytes, np.uint8)).Pack(builder)
    schema.ModelStartBuffersVector(builder, buffers)
    for _ in range(buffers):
        builder.PrependUOffsetTRelative(buffer)
    stored = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, stored)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_shared(subgraphs=300, tensors=3000), "300 subgraphs"),
        (_shared(subgraphs=1, tensors=3000), "more than it stores"),
        (_shared(subgraphs=1, tensors=40, name="x" * 10_000), "more than it stores"),
        (_shared(subgraphs=1, tensors=1, buffers=40, data_bytes=10_000), "more than it stores"),
    ],
    ids=["subgraphs", "tensors", "names", "buffers"],
)
def test_a_small_file_that_stands_for_a_huge_one_is_refused_before_it_is_unpacked(
    content, reason, monkeypatch
):
    monkeypatch.setattr(schema.ModelT, "InitFromPackedBuf", None)
    with pytest.raises(GraphError, match=reason):
        parse_graph(content)


def test_external_buffers_that_all_mean_the_same_bytes_are_refused(landmark):
    def share(document) -> None:
        rows = [schema.BufferT(offset=16, size=1_000_000) for _ in range(40)]
        document.buffers = [*document.buffers, *rows]

    with pytest.raises(GraphError, match="more than it stores"):
        parse_graph(_changed(landmark, share))


def test_more_tables_than_any_model_needs_are_refused(landmark, monkeypatch):
    monkeypatch.setattr(graph_bounds, "MAX_TABLES", 100)
    with pytest.raises(GraphError, match="more than 100 operators, tensors"):
        parse_graph(landmark.content)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(GraphError, match=r"gone\.tflite"):
        read_graph(tmp_path / "gone.tflite")


def test_damaged_files_are_read_or_refused_but_never_crash(models_dir):
    """Mutants of a real file: each is a graph or a GraphError."""
    rng = np.random.default_rng(2)
    original = (models_dir / "hand_landmark_lite.tflite").read_bytes()
    tail = len(original) - 60_000  # tables and indices lie at the end, weights before them
    refused = 0
    for round_number in range(60):
        content = bytearray(original)
        start = 0 if round_number % 2 else tail
        for position in rng.integers(start + 8, start + 60_000, 40):
            content[min(position, len(content) - 1)] = int(rng.integers(256))
        try:
            parse_graph(bytes(content))
        except GraphError:
            refused += 1
    assert refused
