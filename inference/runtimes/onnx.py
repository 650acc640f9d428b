"""Shell of onnxruntime; its only importer, but for its quantiser in ``inference.quantize.onnx_quantizer``.

Providers are chosen by configuration and never guessed: one that this build lacks is refused with the
list of those it has, instead of a silent fall back to the CPU.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelLoadError
from inference.runtimes import usage_reports
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime, readable_file
from inference.runtimes.checks import ANY_SIZE
from inference.runtimes.options import RuntimeOptions, check_choice

usage_reports.switch_off()

import onnxruntime  # noqa: E402  only after its reports are off

CPU_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxRuntime(CheckedRuntime):
    """Opens .onnx files with onnxruntime."""

    name = "onnx"
    failure = EngineFailure(
        engine="onnxruntime",
        errors=(Exception,),  # its own all derive from Exception directly
        load_advice="pass an .onnx model it supports",
        run_advice="check shapes and providers",
    )

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(onnxruntime.__version__)
        self.optimisation = options.optimisation if options else "all"
        check_choice("optimisation", (self.optimisation,), offered=_LEVELS, engine="onnxruntime")
        self.providers = (options.providers if options else ()) or (CPU_PROVIDER,)
        check_choice(
            "provider", self.providers, offered=onnxruntime.get_available_providers(), engine="onnxruntime"
        )

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        settings = _settings(self.optimisation)
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        with readable_file(path):
            content = path.read_bytes()
        session = onnxruntime.InferenceSession(content, settings, providers=list(self.providers))
        inputs = tuple(_spec(row) for row in session.get_inputs())

        def compute(arrays: Sequence[Array], /) -> tuple[Array, ...]:
            feed = {spec.name: array for spec, array in zip(inputs, arrays, strict=True)}
            return tuple(np.asarray(result) for result in session.run(None, feed))

        outputs = tuple(_spec(row) for row in session.get_outputs())
        return CheckedModel(compute, inputs=inputs, outputs=outputs, failure=self.failure)


def lower_half(content: bytes, /) -> bytes:
    """Write out every cast that onnxruntime's CPU provider adds where it lacks float16 kernels.

    It computes such operators in float32 and rounds only where the written model has a cast, so that only
    parts of the written model give the bits of the whole. The whole itself gives the same bits as before.

    Raises:
        ModelLoadError: onnxruntime cannot open the model.
    """
    settings = _settings("none")
    with tempfile.TemporaryDirectory(prefix="headway-half-") as folder:
        path = Path(folder) / "lowered.onnx"
        settings.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(content, settings, providers=[CPU_PROVIDER])
        except Exception as error:
            msg = f"onnxruntime refuses the float16 model: {error}; export it as float32"
            raise ModelLoadError(msg) from error
        return path.read_bytes()


def _settings(optimisation: str, /) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = _LEVELS[optimisation]
    settings.log_severity_level = _ERRORS_ONLY
    return settings


def _spec(row: Any, /) -> TensorSpec:
    dtype = _DTYPES.get(row.type)
    if dtype is None:
        msg = f"tensor {row.name!r} has type {row.type}, which is not supported: export it as numbers"
        raise ModelLoadError(msg)
    shape = tuple(size if isinstance(size, int) else ANY_SIZE for size in row.shape)
    return TensorSpec(name=row.name, shape=shape, dtype=dtype)


create = OnnxRuntime
