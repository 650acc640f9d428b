"""One contract for every row of the table of engines: the same promises, the same refusals, the same answers.

tflite-runtime keeps its promises in an environment of its own, in test_runtime_engines.py.
"""

import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.child import open_in_child
from inference.errors import ModelInputError, ModelLoadError, ModelRunError, RuntimeMissingError
from inference.evaluation.scoring import hand_distance
from inference.quantize.photo_sources import read_photo
from inference.runtimes.base import TensorSpec
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import RUNTIMES, open_runtime
from inference.tasks.hands import HandTask
from inference.tasks.landmark import LANDMARK_SIDE, hand_crop, run_landmarks
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
OWN_ENVIRONMENT = {"tflite"}
SIDE, CHANNELS, CLASSES = 16, 8, 5
IMAGE = TensorSpec(name="x", shape=(1, 3, SIDE, SIDE), dtype="float32")
SCORES = TensorSpec(name="y", shape=(1, CLASSES), dtype="float32")
NCNN_PARAM = f"""7767517
4 4
Input x 0 1 x 0={SIDE} 1={SIDE} 2=3
Convolution conv 1 1 x c 0={CHANNELS} 1=3 3=2 4=1 5=1 6={CHANNELS * 27} 9=1
Pooling mean 1 1 c p 0=1 4=1
InnerProduct scores 1 1 p y 0={CLASSES} 1=0 2={CHANNELS * CLASSES}
"""
LANDMARK_ENGINES = ["litert", "openvino", "mnn"]
FILE_ENGINES = sorted(set(RUNTIMES) - OWN_ENVIRONMENT - {"null"})
# in the units of the task: the crop is 224 pixels wide; a float kernel rounds in the last places
LANDMARK_TOLERANCE_PX = 0.05
SMALL_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Files:
    """The same small network for every engine: convolution, ReLU, mean, scores."""

    onnx: Path
    param: Path
    landmark: Path
    conversions: Path


@dataclass(frozen=True)
class Case:
    """An engine, the file it opens, the options it needs for it."""

    engine: str
    file: str
    options: RuntimeOptions = field(default_factory=RuntimeOptions)

    def open(self, files: Files, *, threads: int = 1):
        path = Path("none") if self.engine == "null" else getattr(files, self.file)
        options = replace(self.options, conversions=files.conversions)
        return engine(self.engine, options).load(path, threads=threads)


CASES = {
    "litert": Case("litert", "landmark"),
    "litert-plain": Case("litert", "landmark", RuntimeOptions(delegates=())),
    "onnx": Case("onnx", "onnx"),
    "openvino-onnx": Case("openvino", "onnx"),
    "openvino-tflite": Case("openvino", "landmark"),
    "mnn-onnx": Case("mnn", "onnx"),
    "mnn-tflite": Case("mnn", "landmark"),
    "ncnn": Case("ncnn", "param", RuntimeOptions(inputs=(IMAGE,), outputs=(SCORES,))),
    "ncnn-undeclared": Case("ncnn", "param"),
    "null": Case("null", "", RuntimeOptions(inputs=(IMAGE,), outputs=(SCORES,))),
}
SMALL = ["onnx", "openvino-onnx", "mnn-onnx", "ncnn"]


def engine(name, options=None):
    """Open an engine; one that is not installed skips, or fails under CI."""
    try:
        return open_runtime(name, options=options)
    except RuntimeMissingError as error:
        missing(str(error))


def _small_onnx(weights, bias, matrix):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["q"]),
        helper.make_node("Gemm", ["q", "m"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SCORES.shape)],
        [
            numpy_helper.from_array(array, name)
            for name, array in zip("wbm", (weights, bias, matrix), strict=True)
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def files(tmp_path_factory, models_dir) -> Files:
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=CHANNELS).astype(np.float32)
    matrix = rng.normal(size=(CLASSES, CHANNELS)).astype(np.float32)
    onnx.save(_small_onnx(weights, bias, matrix), folder / "small.onnx")
    (folder / "small.param").write_text(NCNN_PARAM)
    plain = np.zeros(1, np.uint32).tobytes()  # the tag of float32 weights
    content = (plain, weights.tobytes(), bias.tobytes(), plain, matrix.tobytes())
    (folder / "small.bin").write_bytes(b"".join(content))
    return Files(
        onnx=folder / "small.onnx",
        param=folder / "small.param",
        landmark=models_dir / "hand_landmark_full.tflite",
        conversions=folder / "conversions",
    )


@pytest.fixture(scope="module", params=list(CASES))
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def model(case, files):
    with closing(case.open(files)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def crop(photos, palm_model, landmark_model):
    """What the landmark model sees of a real hand."""
    photo = read_photo(next(path for path in photos if path.name == "handSrc.jpg"))
    return hand_crop(photo, HandTask(palm=palm_model, landmark=landmark_model).regions(photo)[0])


def noise(model, seed=7):
    rng = np.random.default_rng(seed)
    return [rng.random(spec.shape).astype(spec.dtype) for spec in model.inputs()]


def test_every_row_is_tried():
    assert {case.engine for case in CASES.values()} | OWN_ENVIRONMENT == set(RUNTIMES)


def test_an_engine_states_the_name_of_its_row_and_its_version(case):
    opened = engine(case.engine, case.options)
    assert opened.name == case.engine
    assert opened.version[0].isdecimal()


def test_results_have_the_declared_shapes_and_dtypes(model):
    results = model.run(noise(model))
    assert [(r.shape, r.dtype.name) for r in results] == [(s.shape, s.dtype) for s in model.outputs()]
    assert all(np.isfinite(result).all() for result in results)


def test_names_are_unique_and_not_empty(model):
    for specs in (model.inputs(), model.outputs()):
        assert all(spec.name for spec in specs)
        assert len({spec.name for spec in specs}) == len(specs)


def test_the_same_input_gives_the_same_bytes(model):
    first, second = model.run(noise(model)), model.run(noise(model))
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]


def test_inputs_are_left_as_they_were(model):
    arrays = noise(model)
    kept = [array.copy() for array in arrays]
    model.run(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, kept, strict=True))


def test_an_array_that_is_not_contiguous_counts_by_its_values(model):
    arrays = noise(model)
    strided = [np.repeat(array, 2, axis=-1)[..., ::2] for array in arrays]
    expected, got = model.run(arrays), model.run(strided)
    assert [a.tobytes() for a in expected] == [b.tobytes() for b in got]


def test_results_are_owned_by_the_caller(model):
    first = model.run(noise(model))
    kept = [array.copy() for array in first]
    for array in model.run(noise(model, seed=8)):
        array.fill(9)
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.parametrize("spoil", ["dtype", "shape", "rank", "count"])
def test_an_input_that_differs_from_the_spec_is_refused_and_the_model_goes_on(model, spoil):
    arrays = noise(model)
    wrong = {
        "dtype": [arrays[0].astype("float64")],
        "shape": [arrays[0][:, :-1]],
        "rank": [arrays[0][0]],
        "count": [],
    }[spoil]
    with pytest.raises(ModelInputError, match=r"takes 1 inputs|must be float32"):
        model.run(wrong)
    assert model.run(arrays)


def test_closing_twice_is_harmless_and_a_closed_model_does_not_run(case, files):
    loaded = case.open(files)
    arrays = noise(loaded)
    loaded.close()
    loaded.close()
    with pytest.raises(ModelRunError, match="load it again"):
        loaded.run(arrays)


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(case, files, threads):
    with pytest.raises(ModelLoadError, match=rf"with {threads} threads: pass a whole number from 1"):
        case.open(files, threads=threads)


def test_two_models_at_once_in_two_threads_answer_as_alone(case, files):
    with closing(case.open(files)) as one, closing(case.open(files)) as other:
        expected = {seed: [a.tobytes() for a in one.run(noise(one, seed))] for seed in (1, 2)}
        got: dict[int, list[list[bytes]]] = {1: [], 2: []}

        def work(model, seed):
            for _ in range(5):
                got[seed].append([a.tobytes() for a in model.run(noise(model, seed))])

        threads = [threading.Thread(target=work, args=row) for row in ((one, 1), (other, 2))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert got == {seed: [answer] * 5 for seed, answer in expected.items()}


def test_a_model_outlives_its_file(case, files, tmp_path):
    if case.engine == "null":
        return  # reads no file
    source = getattr(files, case.file)
    copies = [tmp_path / path.name for path in (source, source.with_suffix(".bin")) if path.is_file()]
    for copy in copies:
        copy.write_bytes((source.parent / copy.name).read_bytes())
    with closing(engine(case.engine, case.options).load(copies[0])) as loaded:
        expected = loaded.run(noise(loaded))
        for copy in copies:
            copy.write_bytes(b"")
        assert np.array_equal(loaded.run(noise(loaded))[0], expected[0])


@pytest.mark.parametrize("name", SMALL)
def test_the_same_small_network_answers_alike_everywhere(name, files):
    with closing(CASES["onnx"].open(files)) as reference, closing(CASES[name].open(files)) as loaded:
        for seed in range(3):
            (expected,), (got,) = reference.run(noise(reference, seed)), loaded.run(noise(loaded, seed))
            assert got == pytest.approx(expected, abs=SMALL_TOLERANCE)


@pytest.mark.parametrize("name", LANDMARK_ENGINES)
def test_a_real_hand_has_its_landmarks_where_litert_sees_them(name, files, crop, landmark_model):
    expected = run_landmarks(crop, model=landmark_model)
    with closing(engine(name).load(files.landmark)) as loaded:
        got = run_landmarks(crop, model=loaded)
    assert expected.presence > 0.9
    assert np.abs(got.points - expected.points).max() < LANDMARK_TOLERANCE_PX
    assert hand_distance(expected.points / LANDMARK_SIDE, got.points / LANDMARK_SIDE) < 1e-3
    assert (got.presence, got.handedness) == pytest.approx((expected.presence, expected.handedness), abs=1e-4)


@pytest.mark.parametrize("name", FILE_ENGINES)
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "binary", "truncated"])
def test_a_file_that_is_not_a_model_is_refused_with_its_name(name, damage, files, tmp_path):
    case = next(case for case in CASES.values() if case.engine == name)
    source = getattr(files, case.file)
    whole = source.read_bytes()
    content = {
        "empty": b"",
        "text": b"hello, this is no model",
        "binary": bytes(range(256)) * 8,
        "truncated": whole[: len(whole) // 2],
    }
    for suffix in RUNTIMES[name].suffixes:
        path = tmp_path / f"model{suffix}"
        if damage in content:
            path.write_bytes(content[damage])
            path.with_suffix(".bin").write_bytes(content[damage])
        with pytest.raises(ModelLoadError, match=r"model\.[a-z]+"):
            engine(name, case.options).load(path)


@pytest.mark.parametrize("name", FILE_ENGINES)
def test_a_damaged_file_harms_nobody_when_tried_in_a_child(name, files, tmp_path):
    engine(name)
    case = next(case for case in CASES.values() if case.engine == name)
    source = getattr(files, case.file)
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    path.with_suffix(".bin").write_bytes(b"")
    report = open_in_child(path, runtime=name)
    assert report.outcome in {"refused", "crashed"}, report


@pytest.mark.parametrize("name", ["litert", "onnx", "openvino-onnx", "mnn-onnx", "ncnn"])
def test_more_threads_are_started_only_when_asked_for(name, files):
    if not Path("/proc/self/task").is_dir():
        pytest.skip("threads of a process can be counted on Linux alone")
    case = CASES[name]
    engine(case.engine)
    code = (
        "import sys, os, numpy as np; from pathlib import Path\n"
        "from inference.runtimes.registry import open_runtime\n"
        "runtime = open_runtime(sys.argv[1])\n"
        "def grown(threads):\n"
        "    before = len(os.listdir('/proc/self/task'))\n"
        "    model = runtime.load(Path(sys.argv[2]), threads=threads)\n"
        "    for _ in range(20):\n"
        "        model.run([np.ones(s.shape, s.dtype) for s in model.inputs()])\n"
        "    return len(os.listdir('/proc/self/task')) - before\n"
        "grown(1)\n"
        "print(grown(1), grown(2))\n"
    )
    command = [sys.executable, "-c", code, case.engine, str(getattr(files, case.file))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    with_one, with_two = (int(word) for word in done.stdout.split())
    assert with_one <= 0 < with_two, done.stdout
