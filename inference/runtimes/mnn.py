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

from inference.errors import ModelLoadError, ModelRunError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checks import check_arrays
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


class MnnModel:
    """A model held by one MNN module; belongs to one thread at a time."""

    def __init__(
        self, module: Any, *, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], layouts: Any
    ) -> None:
        self._module: Any = module
        self._inputs, self._outputs = inputs, outputs
        self._layouts = layouts

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in run order."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in run order."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; results are copies.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the engine failed or the model is closed.
        """
        if self._module is None:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        try:
            given = [
                _EXPR.const(np.ascontiguousarray(array), list(array.shape), layout)
                for array, layout in zip(inputs, self._layouts, strict=True)
            ]
            return tuple(np.array(_plain(result).read()) for result in self._module.onForward(given))
        except Exception as error:  # the extension raises plain Exception and SystemError
            msg = f"MNN failed while running: {error}; check the model and its inputs"
            raise ModelRunError(msg) from error

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._module = None


class MnnRuntime:
    """Opens .mnn files with MNN, and what its converter can turn into one."""

    name = "mnn"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(MNN.version())
        self._conversions = options.conversions if options else None

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model that MNN can open or convert.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            msg = f"cannot read the model {path}: {error.strerror}; check the path and its rights"
            raise ModelLoadError(msg) from error
        if path.suffix not in FORMATS:
            return _open(path, source=path, threads=threads)
        with tempfile.TemporaryDirectory(prefix="headway-mnn-") as scratch:
            folder = self._conversions or Path(scratch)
            made = converted(content, suffix=path.suffix, version=self.version, folder=folder, source=path)
            return _open(made, source=path, threads=threads)


def _open(path: Path, /, *, source: Path, threads: int) -> MnnModel:
    settings = {"backend": "CPU", "numThread": threads, "precision": "high"}
    try:
        with engine_stdout_to_stderr():
            manager = MNN.nn.create_runtime_manager((settings,))
            module = MNN.nn.load_module_from_file(str(path), [], [], runtime_manager=manager)
            names = module.get_info()
            tensors = _EXPR.load_as_dict(str(path))
            inputs = [tensors[name] for name in names["inputNames"]]
            outputs = [tensors[name] for name in names["outputNames"]]
            return MnnModel(
                module,
                inputs=tuple(_spec(*row) for row in zip(names["inputNames"], inputs, strict=True)),
                outputs=tuple(_spec(*row) for row in zip(names["outputNames"], outputs, strict=True)),
                layouts=tuple(_layout(tensor) for tensor in inputs),
            )
    except ModelLoadError:
        raise
    except Exception as error:  # the extension raises plain Exception and SystemError
        reason = error.__cause__ or error
        msg = f"MNN refuses {source}: {reason}; pass a .mnn, {' or '.join(FORMATS)} model it supports"
        raise ModelLoadError(msg) from error


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
