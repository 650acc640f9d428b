"""Shell of onnxruntime; its only importer, but for its quantiser in ``inference.onnx_quantize``.

Providers are chosen by configuration and never guessed: one that this build lacks is refused with the
list of those it has, instead of a silent fall back to the CPU.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelLoadError, ModelRunError
from inference.runtimes import usage_reports
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checks import ANY_SIZE, check_arrays
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


class OnnxModel:
    """A model held by one onnxruntime session; belongs to one thread at a time."""

    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self._inputs = tuple(_spec(row) for row in session.get_inputs())
        self._outputs = tuple(_spec(row) for row in session.get_outputs())

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in run order; -1 stands for a free dimension."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in run order; -1 stands for a free dimension."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the engine failed or the model is closed.
        """
        if self._session is None:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        feed = {spec.name: array for spec, array in zip(self._inputs, inputs, strict=True)}
        try:
            results = self._session.run(None, feed)
        except Exception as error:
            msg = f"onnxruntime failed while running: {error}; check shapes and providers"
            raise ModelRunError(msg) from error
        return tuple(np.asarray(result) for result in results)

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._session = None


class OnnxRuntime:
    """Opens .onnx files with onnxruntime."""

    name = "onnx"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(onnxruntime.__version__)
        self.optimisation = options.optimisation if options else "all"
        check_choice("optimisation", (self.optimisation,), offered=_LEVELS, engine="onnxruntime")
        self.providers = (options.providers if options else ()) or (CPU_PROVIDER,)
        check_choice(
            "provider", self.providers, offered=onnxruntime.get_available_providers(), engine="onnxruntime"
        )

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model that onnxruntime can open.
        """
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.graph_optimization_level = _LEVELS[self.optimisation]
        settings.log_severity_level = _ERRORS_ONLY
        try:
            content = path.read_bytes()
        except OSError as error:
            msg = f"cannot read the model {path}: {error.strerror}; check the path and its rights"
            raise ModelLoadError(msg) from error
        try:
            session = onnxruntime.InferenceSession(content, settings, providers=list(self.providers))
            return OnnxModel(session)
        except ModelLoadError:
            raise
        except Exception as error:
            msg = f"onnxruntime refuses {path}: {error}; pass an .onnx model it supports"
            raise ModelLoadError(msg) from error


def lower_half(content: bytes, /) -> bytes:
    """Write out every cast that onnxruntime's CPU provider adds where it lacks float16 kernels.

    It computes such operators in float32 and rounds only where the written model has a cast, so that only
    parts of the written model give the bits of the whole. The whole itself gives the same bits as before.

    Raises:
        ModelLoadError: onnxruntime cannot open the model.
    """
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = _LEVELS["none"]
    settings.log_severity_level = _ERRORS_ONLY
    with tempfile.TemporaryDirectory(prefix="headway-half-") as folder:
        path = Path(folder) / "lowered.onnx"
        settings.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(content, settings, providers=[CPU_PROVIDER])
        except Exception as error:
            msg = f"onnxruntime refuses the float16 model: {error}; export it as float32"
            raise ModelLoadError(msg) from error
        return path.read_bytes()


def _spec(row: Any, /) -> TensorSpec:
    dtype = _DTYPES.get(row.type)
    if dtype is None:
        msg = f"tensor {row.name!r} has type {row.type}, which is not supported: export it as numbers"
        raise ModelLoadError(msg)
    shape = tuple(size if isinstance(size, int) else ANY_SIZE for size in row.shape)
    return TensorSpec(name=row.name, shape=shape, dtype=dtype)


create = OnnxRuntime
