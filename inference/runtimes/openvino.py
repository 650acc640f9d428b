"""Shell of OpenVINO; its only importer. Opens .onnx and .tflite files as they are.

Models compute in float32 even where the processor would rather take bfloat16, because answers are compared
across engines.
"""

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

import openvino  # noqa: E402  only after its reports are off

CPU_DEVICE = "CPU"
SUFFIXES = (".onnx", ".tflite")


class OpenvinoModel:
    """A model compiled by OpenVINO with one request; belongs to one thread at a time."""

    def __init__(self, compiled: Any) -> None:
        self._request: Any = compiled.create_infer_request()
        self._inputs = tuple(_spec(port, f"input_{at}") for at, port in enumerate(compiled.inputs))
        self._outputs = tuple(_spec(port, f"output_{at}") for at, port in enumerate(compiled.outputs))

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in run order; -1 stands for a free dimension."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in run order; -1 stands for a free dimension."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; results are copies.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the engine failed or the model is closed.
        """
        if self._request is None:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        try:
            results = self._request.infer([np.ascontiguousarray(array) for array in inputs])
            return tuple(np.array(result) for result in results.to_tuple())
        except RuntimeError as error:
            msg = f"OpenVINO failed while running: {_reason(error)}; check shapes and devices"
            raise ModelRunError(msg) from error

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._request = None


class OpenvinoRuntime:
    """Opens .onnx and .tflite files with OpenVINO."""

    name = "openvino"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(openvino.__version__).split("-", maxsplit=1)[0]
        self._core: Any = openvino.Core()
        devices = (options.providers if options else ()) or (CPU_DEVICE,)
        check_choice("device", devices, offered=self._core.available_devices, engine="OpenVINO")
        self._device = devices[0] if len(devices) == 1 else f"AUTO:{','.join(devices)}"

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model that OpenVINO can open.
        """
        if not path.is_file():
            msg = f"cannot read the model {path}: no such file; check the path and its rights"
            raise ModelLoadError(msg)
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            model = self._core.read_model(str(path))
            return OpenvinoModel(self._core.compile_model(model, self._device, settings))
        except RuntimeError as error:
            kinds = " or ".join(SUFFIXES)
            msg = f"OpenVINO refuses {path}: {_reason(error)}; pass a {kinds} model it supports"
            raise ModelLoadError(msg) from error


def _spec(port: Any, fallback: str, /) -> TensorSpec:
    shape = tuple(int(size.get_length()) if size.is_static else ANY_SIZE for size in port.get_partial_shape())
    name = str(port.any_name) if port.names else fallback
    return TensorSpec(name=name, shape=shape, dtype=np.dtype(port.element_type.to_dtype()).name)


def _reason(error: RuntimeError, /) -> str:
    """The last line that says something: above it OpenVINO lists places in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception from")]
    return (said or lines or [type(error).__name__])[-1]


create = OpenvinoRuntime
