"""Models that other people made: every cut exact, quantised ones too. Skips as one where they are not there."""

from contextlib import closing

import numpy as np
import pytest

from inference.parity.check import KernelPath, check_parity, cut_pairs, random_pairs
from inference.parity.fingerprint import canaries_for, digest_of, split_fingerprint
from inference.quantize.onnx_quantizer import quantise_onnx_static
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model
from inference.split.placed import open_part
from tests.conftest import reference_data_or_skip_module

reference_data_or_skip_module("cuts of foreign models, and a detector that becomes int8")

PLAIN = RuntimeOptions(delegates=())
SMALL = ("kws_ref_model", "pretrainedResnet_quant", "ad01_fp32", "str_ww_ref_model")


@pytest.mark.parametrize("options", [RuntimeOptions(), PLAIN], ids=["xnnpack", "plain"])
@pytest.mark.parametrize("name", SMALL)
def test_every_cut_and_many_pairs_of_small_models_are_exact(shared_data, name, options):
    path = shared_data / "models" / "mlperf_tiny" / f"{name}.tflite"
    cuts = split_model(path.read_bytes()).cuts
    pairs = cut_pairs(cuts) + random_pairs(cuts, count=10, seed=1)
    report = check_parity(path, pairs, device=KernelPath(options=options))
    assert report.passed, report
    assert report.max_difference == 0
    assert report.stock_difference is None


def test_quantisation_crosses_with_the_tensor(shared_data):
    split = split_model((shared_data / "models" / "mlperf_tiny" / "vww_96_int8.tflite").read_bytes())
    crossing = split.flow.tensors[split.cuts[9].crossing[0]]
    part = open_part(split, split.cuts[9].position, len(split.flow.operators), runtime=open_runtime("litert"))
    spec = part.model.inputs()[0]
    assert (spec.dtype, spec.scale, spec.zero_point) == ("int8", crossing.scale, crossing.zero_point)


@pytest.mark.parametrize("name", ["yolox_nano.onnx", "yolov5n_fp16_jinyu.onnx"])
def test_sampled_cuts_of_the_detectors_are_exact_at_equal_thread_count(name, shared_data):
    path = shared_data / "models" / name
    pairs = random_pairs(split_model(path.read_bytes()).cuts, count=3, seed=1)
    unchanged = KernelPath(runtime="onnx", options=RuntimeOptions(optimisation="none"))
    report = check_parity(path, pairs, device=unchanged)
    assert report.passed, report


def test_yolox_nano_becomes_int8_at_less_than_half_its_size(shared_data, tmp_path):
    content = (shared_data / "models" / "yolox_nano.onnx").read_bytes()
    noise = np.random.default_rng(1).random((1, 3, 416, 416), dtype=np.float32)
    given = [{"images": 255 * noise}]
    quantised = quantise_onnx_static(content, samples=given)
    assert len(quantised) < len(content) / 2
    path = tmp_path / "int8.onnx"
    path.write_bytes(quantised)
    assert open_runtime("onnx").load(path).run([given[0]["images"]])[0].shape == (1, 3549, 85)


def test_inner_tensors_tell_kernel_paths_apart_whose_outputs_are_equal_by_chance(shared_data):
    path = shared_data / "models" / "mlperf_tiny" / "vww_96_int8.tflite"
    split = split_model(path.read_bytes())
    canaries = canaries_for(split.flow, count=2)
    outputs, inner = set(), set()
    for options in (RuntimeOptions(), PLAIN):
        runtime = open_runtime("litert", options=options)
        with closing(runtime.load(path)) as model:
            outputs.add(digest_of(map(model.run, canaries)))
        inner.add(split_fingerprint(split, runtime=runtime, canaries=canaries))
    assert (len(outputs), len(inner)) == (1, 2)
