"""One contract for every engine: real models, refusals with reasons, results the caller owns."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from inference.errors import ModelInputError, ModelLoadError, ModelRunError, RuntimeMissingError
from inference.runtimes.base import Runtime, TensorSpec
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import RUNTIMES, open_runtime

ROOT = Path(__file__).resolve().parents[2]
TFLITE_PYTHON = ROOT / ".venv-tflite" / "bin" / "python"
CROP = TensorSpec(name="crop", shape=(1, 224, 224, 3), dtype="float32")
SCORE = TensorSpec(name="score", shape=(1, 63), dtype="float32")


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory) -> Path:
    """A small network with weights of its own: convolution, activation, mean over the picture, two classes."""
    rng = np.random.default_rng(3)
    weights = {
        "filters": rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "classes": rng.standard_normal((8, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["picture", "filters"], ["edges"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["edges"], ["seen"]),
        helper.make_node("GlobalAveragePool", ["seen"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "classes"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["scores"]),
    ]
    edges = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("picture", [1, 3, 32, 32]), ("seen", [1, 8, 16, 16]), ("scores", [1, 2]))
    ]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "small", edges[:1], edges[1:], stored)
    # Versions that the oldest onnxruntime we take understands.
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made)
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture(params=["litert", "onnx", "null"])
def engine(request) -> tuple[Runtime, Path]:
    """An engine and a real model for it."""
    if request.param == "litert":
        return open_runtime("litert"), request.getfixturevalue("models_dir") / "hand_landmark_full.tflite"
    if request.param == "onnx":
        return open_runtime("onnx"), request.getfixturevalue("onnx_file")
    return open_runtime("null", options=RuntimeOptions(inputs=(CROP,), outputs=(SCORE,))), Path("none")


@pytest.fixture
def model(engine):
    runtime, path = engine
    loaded = runtime.load(path)
    yield loaded
    loaded.close()


def _noise(model, seed=7):
    rng = np.random.default_rng(seed)
    return [rng.random(spec.shape).astype(spec.dtype) for spec in model.inputs()]


def test_an_engine_states_its_name_and_version(engine):
    runtime, _ = engine
    assert runtime.name in RUNTIMES
    assert runtime.version


def test_results_have_the_declared_shapes_and_dtypes(model):
    results = model.run(_noise(model))
    assert [(r.shape, r.dtype.name) for r in results] == [(s.shape, s.dtype) for s in model.outputs()]


def test_the_same_input_gives_the_same_bytes(model):
    first, second = model.run(_noise(model)), model.run(_noise(model))
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]


def test_results_are_owned_by_the_caller(model):
    first = model.run(_noise(model))
    kept = [array.copy() for array in first]
    for array in model.run(_noise(model, seed=8)):
        array.fill(9)
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.parametrize("spoil", ["dtype", "shape", "rank", "count"])
def test_an_input_that_differs_from_the_spec_is_refused(model, spoil):
    arrays = _noise(model)
    wrong = {
        "dtype": [arrays[0].astype("float64")],
        "shape": [arrays[0][:, :-1]],
        "rank": [arrays[0][0]],
        "count": [],
    }[spoil]
    with pytest.raises(ModelInputError, match=r"takes 1 inputs|must be float32"):
        model.run(wrong)


def test_a_refused_input_leaves_the_model_usable(model):
    with pytest.raises(ModelInputError):
        model.run([])
    assert model.run(_noise(model))


def test_closing_twice_is_harmless_and_a_closed_model_does_not_run(model):
    arrays = _noise(model)
    model.close()
    model.close()
    with pytest.raises(ModelRunError, match="load it again"):
        model.run(arrays)


@pytest.mark.parametrize("name", ["litert", "onnx"])
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated"])
def test_a_file_that_is_not_a_model_is_refused_with_a_reason(name, damage, models_dir, tmp_path):
    path = tmp_path / "model.bin"
    whole = (models_dir / "hand_landmark_full.tflite").read_bytes()
    content = {"empty": b"", "text": b"hello, this is no model", "truncated": whole[:100_000]}
    if damage in content:
        path.write_bytes(content[damage])
    with pytest.raises(ModelLoadError, match=r"model\.bin"):
        open_runtime(name).load(path)


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(RuntimeMissingError, match="litert, tflite, onnxruntime, openvino, mnn, ncnn, null"):
        open_runtime("abacus")


def test_an_unknown_provider_is_refused_with_the_available_ones():
    with pytest.raises(RuntimeMissingError, match="CPUExecutionProvider"):
        open_runtime("onnx", options=RuntimeOptions(providers=("QuantumExecutionProvider",)))


def test_a_null_model_without_declared_outputs_is_refused():
    with pytest.raises(ModelLoadError, match="RuntimeOptions"):
        open_runtime("null").load(Path("any"))


def test_tflite_under_numpy_2_says_what_to_do():
    with pytest.raises(RuntimeMissingError, match=r"numpy < 2.*headway\[tflite\]"):
        open_runtime("tflite")


def test_an_engine_that_is_not_installed_names_the_extra():
    code = (
        "import sys; sys.modules['ai_edge_litert.interpreter'] = None\n"
        "from inference.runtimes.registry import open_runtime\n"
        "from inference.errors import RuntimeMissingError\n"
        "try: open_runtime('litert')\n"
        "except RuntimeMissingError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "install headway[edge]" in done.stdout


def test_opening_one_engine_imports_no_other():
    code = (
        "import sys; from inference.runtimes.registry import open_runtime; open_runtime('litert')\n"
        "print(sorted({'onnxruntime', 'tflite_runtime', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_tflite_runtime_meets_the_contract_in_its_own_environment(models_dir):
    if not TFLITE_PYTHON.exists():
        pytest.skip(
            "tflite-runtime needs numpy < 2: create .venv-tflite with Python <= 3.11 and headway[tflite]"
        )
    code = (
        "import sys, json, numpy as np; from pathlib import Path\n"
        "from inference.runtimes.registry import open_runtime\n"
        "model = open_runtime('tflite').load(Path(sys.argv[1]))\n"
        "spec = model.inputs()[0]\n"
        "x = np.random.default_rng(7).random(spec.shape).astype(spec.dtype)\n"
        "out = model.run([x])\n"
        "assert [(r.shape, r.dtype.name) for r in out] == [(s.shape, s.dtype) for s in model.outputs()]\n"
        "print(json.dumps([r.ravel().tolist() for r in out]))\n"
    )
    path = models_dir / "hand_landmark_full.tflite"
    command = [str(TFLITE_PYTHON), "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    here = open_runtime("litert").load(path)
    expected = here.run(_noise(here))
    got = json.loads(done.stdout)
    for ours, theirs in zip(expected, got, strict=True):
        assert np.allclose(ours.ravel(), theirs, atol=1e-2, rtol=1e-3)
