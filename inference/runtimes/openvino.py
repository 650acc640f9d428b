"""Shell of OpenVINO; its only importer. Opens .onnx and .tflite files as they are.

Models compute in float32 even where the processor would rather take bfloat16, because answers are compared
across engines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.runtimes import usage_reports
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime, readable_file
from inference.runtimes.checks import ANY_SIZE
from inference.runtimes.options import RuntimeOptions, check_choice

usage_reports.switch_off()

import openvino  # noqa: E402  only after its reports are off

CPU_DEVICE = "CPU"
SUFFIXES = (".onnx", ".tflite")


def _reason(error: Exception, /) -> str:
    """The last line that says something: above it OpenVINO lists places in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception from")]
    return (said or lines or [type(error).__name__])[-1]


class OpenvinoRuntime(CheckedRuntime):
    """Opens .onnx and .tflite files with OpenVINO."""

    name = "openvino"
    failure = EngineFailure(
        engine="OpenVINO",
        errors=(RuntimeError,),
        load_advice=f"pass a {' or '.join(SUFFIXES)} model it supports",
        run_advice="check shapes and devices",
        reason=_reason,
    )

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(openvino.__version__).split("-", maxsplit=1)[0]
        self._core: Any = openvino.Core()
        devices = (options.providers if options else ()) or (CPU_DEVICE,)
        check_choice("device", devices, offered=self._core.available_devices, engine="OpenVINO")
        self._device = devices[0] if len(devices) == 1 else f"AUTO:{','.join(devices)}"

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        with readable_file(path):
            path.open("rb").close()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self._core.compile_model(self._core.read_model(str(path)), self._device, settings)
        request = compiled.create_infer_request()

        def compute(inputs: Sequence[Array], /) -> tuple[Array, ...]:
            results = request.infer([np.ascontiguousarray(array) for array in inputs])
            return tuple(np.array(result) for result in results.to_tuple())

        return CheckedModel(
            compute,
            inputs=tuple(_spec(port, f"input_{at}") for at, port in enumerate(compiled.inputs)),
            outputs=tuple(_spec(port, f"output_{at}") for at, port in enumerate(compiled.outputs)),
            failure=self.failure,
        )


def _spec(port: Any, fallback: str, /) -> TensorSpec:
    shape = tuple(int(size.get_length()) if size.is_static else ANY_SIZE for size in port.get_partial_shape())
    name = str(port.any_name) if port.names else fallback
    return TensorSpec(name=name, shape=shape, dtype=np.dtype(port.element_type.to_dtype()).name)


create = OpenvinoRuntime
