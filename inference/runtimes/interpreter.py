"""Shell around any engine with the TensorFlow Lite ``Interpreter`` interface.

LiteRT and tflite-runtime share that interface, so they share this file; it imports neither. The model
file is read into memory once, so replacing the file later cannot change or crash a loaded model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelLoadError, ModelRunError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checks import check_arrays
from inference.runtimes.options import RuntimeOptions, check_choice

XNNPACK = "xnnpack"
_CLOSED = "this model was closed: load it again before running it"


class InterpreterModel:
    """A model held by one ``Interpreter``; belongs to one thread at a time."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter: Any = interpreter
        details_in, details_out = interpreter.get_input_details(), interpreter.get_output_details()
        self._in_index = tuple(int(row["index"]) for row in details_in)
        self._out_index = tuple(int(row["index"]) for row in details_out)
        self._inputs = tuple(_spec(row) for row in details_in)
        self._outputs = tuple(_spec(row) for row in details_out)

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
        engine = self._interpreter
        if engine is None:
            raise ModelRunError(_CLOSED)
        check_arrays(inputs, self._inputs)
        try:
            for index, array in zip(self._in_index, inputs, strict=True):
                engine.set_tensor(index, array)
            engine.invoke()
        except (RuntimeError, ValueError) as error:
            msg = f"the engine failed while running: {error}; check the model with `headway model inspect`"
            raise ModelRunError(msg) from error
        return tuple(engine.get_tensor(index) for index in self._out_index)

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._interpreter = None


class InterpreterRuntime:
    """Opens .tflite files with one of these engines."""

    def __init__(
        self, *, name: str, version: str, engine: Any, resolvers: Any, options: RuntimeOptions | None
    ) -> None:
        """``engine`` is the engine's ``Interpreter``, ``resolvers`` its ``OpResolverType``.

        Raises:
            RuntimeMissingError: the options name a delegate that the engine does not have; lists those it has.
        """
        self.name, self.version = name, version
        self._engine = engine
        delegates = options.delegates if options else None
        check_choice("delegate", delegates or (), offered=(XNNPACK,), engine=name)
        plain = delegates == ()
        self._resolver = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else resolvers.AUTO

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: unreadable file, not a model, or operators this engine lacks.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            msg = f"cannot read the model {path}: {error.strerror}; check the path and its rights"
            raise ModelLoadError(msg) from error
        if content[4:8] != b"TFL3":
            msg = f"{path} is not a .tflite model (identifier {content[4:8]!r}, expected b'TFL3'): pass another file"
            raise ModelLoadError(msg)
        try:
            interpreter = self._engine(
                model_content=content, num_threads=threads, experimental_op_resolver_type=self._resolver
            )
            interpreter.allocate_tensors()
            return InterpreterModel(interpreter)  # names that are no UTF-8 only show when they are asked for
        except (RuntimeError, ValueError, SystemError) as error:
            msg = f"the engine refuses {path}: {_first_line(error)}; the file is damaged or needs a newer engine"
            raise ModelLoadError(msg) from error


def _spec(row: dict[str, Any], /) -> TensorSpec:
    parameters = row["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    per_tensor = len(scales) == 1
    return TensorSpec(
        name=str(row["name"]),
        shape=tuple(int(size) for size in row["shape"]),
        dtype=np.dtype(row["dtype"]).name,
        scale=float(scales[0]) if per_tensor else None,
        zero_point=int(zero_points[0]) if per_tensor else None,
    )


def _first_line(error: BaseException, /) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
