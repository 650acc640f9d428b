"""Shell of MNN; its only importer beside the converter. Opens .mnn, and .onnx and .tflite by conversion.

Conversions are kept in the folder that the options name, by digest. Models compute in float32 ("high"
precision), because answers are compared across engines. MNN greets on standard output; that goes to
standard error here.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelLoadError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime, readable_file
from inference.runtimes.engine_stdout import engine_stdout_to_stderr
from inference.runtimes.mnn_convert import FORMATS, converted
from inference.runtimes.options import RuntimeOptions

with engine_stdout_to_stderr():
    import MNN

_EXPR = MNN.expr
_DTYPES = {
    _EXPR.float: "float32",
    _EXPR.double: "float64",
    _EXPR.int: "int32",
    _EXPR.int64: "int64",
    _EXPR.uint8: "uint8",
}


class MnnRuntime(CheckedRuntime):
    """Opens .mnn files with MNN, and what its converter can turn into one."""

    name = "mnn"
    failure = EngineFailure(
        engine="MNN",
        errors=(Exception,),  # the extension raises plain Exception and SystemError
        load_advice=f"pass a .mnn, {' or '.join(FORMATS)} model it supports",
        run_advice="check the model and its inputs",
        reason=lambda error: str(error.__cause__ or error),
    )

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(MNN.version())
        self._conversions = options.conversions if options else None

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        with readable_file(path):
            content = path.read_bytes()
        if path.suffix not in FORMATS:
            return self._module(path, threads=threads)
        with tempfile.TemporaryDirectory(prefix="headway-mnn-") as scratch:
            folder = self._conversions or Path(scratch)
            made = converted(content, suffix=path.suffix, version=self.version, folder=folder, source=path)
            return self._module(made, threads=threads)

    def _module(self, path: Path, /, *, threads: int) -> Model:
        settings = {"backend": "CPU", "numThread": threads, "precision": "high"}
        with engine_stdout_to_stderr():
            manager = MNN.nn.create_runtime_manager((settings,))
            module = MNN.nn.load_module_from_file(str(path), [], [], runtime_manager=manager)
            names = module.get_info()
            tensors = _EXPR.load_as_dict(str(path))
            inputs, outputs = (
                {name: tensors[name] for name in names[key]} for key in ("inputNames", "outputNames")
            )
            specs_in, specs_out = (tuple(_spec(*row) for row in rows.items()) for rows in (inputs, outputs))
            layouts = [_layout(tensor) for tensor in inputs.values()]

        def compute(arrays: Sequence[Array], /) -> tuple[Array, ...]:
            given = [
                _EXPR.const(np.ascontiguousarray(array), list(array.shape), layout)
                for array, layout in zip(arrays, layouts, strict=True)
            ]
            return tuple(np.array(_plain(result).read()) for result in module.onForward(given))

        return CheckedModel(compute, inputs=specs_in, outputs=specs_out, failure=self.failure)


def _plain(result: Any, /) -> Any:
    """Bring a tensor that MNN left packed by fours of channels into the layout the model declares."""
    return _EXPR.convert(result, _EXPR.NCHW) if result.data_format == _EXPR.NC4HW4 else result


def _layout(tensor: Any, /) -> Any:
    return _EXPR.NHWC if tensor.data_format == _EXPR.NHWC else _EXPR.NCHW


def _spec(name: str, tensor: Any, /) -> TensorSpec:
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        msg = f"tensor {name!r} has type {tensor.dtype}, which is not supported: export it as numbers"
        raise ModelLoadError(msg)
    return TensorSpec(name=name, shape=tuple(int(size) for size in tensor.shape), dtype=dtype)


create = MnnRuntime
