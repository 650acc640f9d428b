"""Shell around any engine with the TensorFlow Lite ``Interpreter`` interface.

LiteRT and tflite-runtime share that interface, so they share this file; it imports neither. The model
file is read into memory once, so replacing the file later cannot change or crash a loaded model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelLoadError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime, readable_file
from inference.runtimes.options import RuntimeOptions, check_choice

XNNPACK = "xnnpack"


class InterpreterRuntime(CheckedRuntime):
    """Opens .tflite files with one of these engines."""

    failure = EngineFailure(
        engine="the engine",
        errors=(RuntimeError, ValueError, SystemError),
        load_advice="the file is damaged or needs a newer engine",
        run_advice="check the model with `headway model inspect`",
        reason=lambda error: (str(error).strip().splitlines() or [type(error).__name__])[0],
    )

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

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        with readable_file(path):
            content = path.read_bytes()
        if content[4:8] != b"TFL3":
            msg = f"{path} is not a .tflite model (identifier {content[4:8]!r}, expected b'TFL3'): pass another file"
            raise ModelLoadError(msg)
        interpreter = self._engine(
            model_content=content, num_threads=threads, experimental_op_resolver_type=self._resolver
        )
        interpreter.allocate_tensors()
        rows_in, rows_out = interpreter.get_input_details(), interpreter.get_output_details()
        indices_in, indices_out = ([int(row["index"]) for row in rows] for rows in (rows_in, rows_out))

        def compute(inputs: Sequence[Array], /) -> tuple[Array, ...]:
            for index, array in zip(indices_in, inputs, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(index) for index in indices_out)

        return CheckedModel(
            compute,
            inputs=tuple(_spec(row) for row in rows_in),
            outputs=tuple(_spec(row) for row in rows_out),
            failure=self.failure,
        )


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
