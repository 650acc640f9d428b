"""What single engines add to the contract: choices, conversions, shapes nobody wrote down, silence, an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.errors import ModelLoadError, RuntimeMissingError
from inference.runtimes.base import TensorSpec
from inference.runtimes.mnn_convert import converted
from inference.runtimes.ncnn_param import input_shapes
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import RUNTIMES, WORDS, open_runtime
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
TFLITE_PYTHON = ROOT / ".venv-tflite" / "bin" / "python"
RELU = "7767517\n2 2\nInput a 0 1 a {keys}\nReLU r 1 1 a b\n"


def engine(name, options=None):
    try:
        return open_runtime(name, options=options)
    except RuntimeMissingError as error:
        missing(str(error))


@pytest.fixture
def relu_onnx(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["b"])],
        "relu",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 4])],
    )
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def relu_param(tmp_path):
    def write(keys=""):
        path = tmp_path / "relu.param"
        path.write_text(RELU.format(keys=keys))
        path.with_suffix(".bin").touch()
        return path

    return write


def spec(name, *shape, dtype="float32"):
    return TensorSpec(name=name, shape=shape, dtype=dtype)


@pytest.mark.parametrize(
    ("name", "options", "offered"),
    [
        ("litert", RuntimeOptions(delegates=("gpu",)), "xnnpack"),
        ("onnx", RuntimeOptions(providers=("QuantumExecutionProvider",)), "CPUExecutionProvider"),
        ("openvino", RuntimeOptions(providers=("QPU",)), "CPU"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_right_ones(name, options, offered):
    engine(name)
    with pytest.raises(RuntimeMissingError, match=f"it offers .*{offered}.*: choose one of these"):
        open_runtime(name, options=options)


def test_several_devices_of_openvino_are_tried_in_order(relu_onnx):
    assert engine("openvino", RuntimeOptions(providers=("CPU", "CPU"))).load(relu_onnx)


def test_every_word_means_a_row_and_every_row_has_a_word():
    assert sorted(WORDS.values()) == sorted(RUNTIMES)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("litert", "ai_edge_litert.interpreter"),
        ("openvino", "openvino"),
        ("mnn", "MNN"),
        ("ncnn", "ncnn"),
        ("onnx", "onnxruntime"),
    ],
)
def test_an_engine_that_is_not_installed_names_its_extra(name, module):
    code = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from inference.runtimes.registry import open_runtime\n"
        "from inference.errors import RuntimeMissingError\n"
        "try: open_runtime(sys.argv[2])\n"
        "except RuntimeMissingError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, module, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert f"install {RUNTIMES[name].install}" in done.stdout


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(RuntimeMissingError, match="litert, tflite, onnxruntime, openvino, mnn, ncnn, null"):
        open_runtime("abacus")


def test_an_engine_opens_by_its_word_as_well_as_by_its_row():
    assert engine("onnxruntime").name == engine("onnx").name == "onnx"


def test_opening_one_engine_imports_no_other():
    code = (
        "import sys; from inference.runtimes.registry import open_runtime; open_runtime('litert')\n"
        "others = {'onnxruntime', 'tflite_runtime', 'openvino', 'MNN', 'ncnn', 'sqlalchemy'}\n"
        "print(sorted(others & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_null_model_without_declared_outputs_is_refused():
    with pytest.raises(ModelLoadError, match="RuntimeOptions"):
        open_runtime("null").load(Path("any"))


def test_tflite_under_numpy_2_says_what_to_do():
    with pytest.raises(RuntimeMissingError, match=r"numpy < 2.*headway\[tflite\]"):
        open_runtime("tflite")


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
    rng = np.random.default_rng(7)
    expected = here.run([rng.random(spec.shape).astype(spec.dtype) for spec in here.inputs()])
    got = json.loads(done.stdout)
    for ours, theirs in zip(expected, got, strict=True):
        assert np.allclose(ours.ravel(), theirs, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", ["litert", "onnx", "openvino", "mnn", "ncnn"])
def test_opening_an_engine_prints_nothing_reports_to_nobody_and_starts_no_program(name, tmp_path):
    engine(name)
    code = (
        "import sys, os, json; heard = []\n"
        "watched = {'socket.connect', 'socket.getaddrinfo', 'os.system', 'subprocess.Popen'}\n"
        "sys.addaudithook(lambda event, args: heard.append(event) if event in watched else None)\n"
        "from inference.runtimes.registry import open_runtime\n"
        "open_runtime(sys.argv[1])\n"
        "if sys.argv[1] == 'onnx': import inference.quantize.onnx_quantizer\n"
        "import threading; [t.join(5) for t in threading.enumerate() if t is not threading.current_thread()]\n"
        "print(json.dumps([heard, os.listdir(os.environ['HOME'])]))\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert json.loads(done.stdout) == [[], []]


def test_mnn_converts_a_file_once_and_keeps_it(relu_onnx, tmp_path):
    folder = tmp_path / "conversions"
    runtime = engine("mnn", RuntimeOptions(conversions=folder))
    runtime.load(relu_onnx).close()
    (kept,) = folder.iterdir()
    written_ns = kept.stat().st_mtime_ns
    runtime.load(relu_onnx).close()
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == [written_ns]
    assert engine("mnn").load(kept).inputs() == (spec("a", 1, 4),)


def test_another_version_of_mnn_converts_anew(relu_onnx, tmp_path):
    engine("mnn")
    content = relu_onnx.read_bytes()
    paths = {
        converted(content, suffix=".onnx", version=version, folder=tmp_path / "kept", source=relu_onnx)
        for version in ("1", "1", "2")
    }
    assert len(paths) == 2


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path):
    engine("mnn")
    folder = tmp_path / "kept"
    with pytest.raises(ModelLoadError, match=r"MNN cannot convert .*broken\.onnx"):
        converted(b"no model", suffix=".onnx", version="1", folder=folder, source=Path("broken.onnx"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ("0=4", (4,)),
        ("0=4 1=3", (3, 4)),
        ("0=4 1=3 2=2", (2, 3, 4)),
        ("0=5 1=4 11=3 2=2", (2, 3, 4, 5)),
        ("", ()),
    ],
)
def test_the_shape_of_an_ncnn_input_is_read_from_its_file(keys, shape):
    assert input_shapes(RELU.format(keys=keys)) == {"a": shape}


@pytest.mark.parametrize(
    "text", ["", "hello", "7767518\n1 1\n", RELU.format(keys="0=-4"), RELU.format(keys="0=wide")]
)
def test_a_text_that_is_no_param_file_is_refused(text):
    with pytest.raises(ModelLoadError, match=r"7767517|whole numbers"):
        input_shapes(text)


def test_ncnn_needs_shapes_that_the_file_does_not_have(relu_param):
    with pytest.raises(ModelLoadError, match=r"shapes of its inputs a: declare them in RuntimeOptions"):
        engine("ncnn").load(relu_param())


def test_a_declared_batch_axis_goes_round_ncnn(relu_param):
    options = RuntimeOptions(inputs=(spec("a", 1, 2, 3, 4),))
    with_batch = engine("ncnn", options).load(relu_param())
    assert with_batch.outputs() == (spec("b", 1, 2, 3, 4),)
    assert engine("ncnn").load(relu_param("0=4 1=3 2=2")).outputs() == (spec("b", 2, 3, 4),)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (RuntimeOptions(inputs=(spec("z", 4),)), r"takes the float32 inputs a"),
        (RuntimeOptions(inputs=(spec("a", 4, dtype="int8"),)), r"takes the float32 inputs a"),
        (RuntimeOptions(inputs=(spec("a", -1, 4),)), r"none free"),
        (RuntimeOptions(inputs=(spec("a", 4),), outputs=(spec("z", 4),)), r"output 'z'"),
        (RuntimeOptions(inputs=(spec("a", 4),), outputs=(spec("b", 5),)), r"declared was float32\[5\]"),
    ],
)
def test_declarations_that_do_not_fit_an_ncnn_file_are_refused(options, reason, relu_param):
    with pytest.raises(ModelLoadError, match=reason):
        engine("ncnn", options).load(relu_param())


def test_ncnn_without_its_weights_says_which_two_files_it_needs(relu_param):
    path = relu_param("0=4")
    path.with_suffix(".bin").unlink()
    with pytest.raises(ModelLoadError, match=r"relu\.bin.*ncnn needs .*relu\.param and .*relu\.bin"):
        engine("ncnn").load(path)
