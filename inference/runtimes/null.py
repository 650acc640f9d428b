"""Core: an engine that computes nothing, to measure everything around inference.

Its models declare the specs they were given and answer zeros at once. Reads no file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.errors import ModelLoadError, ModelRunError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checks import ANY_SIZE, check_arrays
from inference.runtimes.options import RuntimeOptions


class NullModel:
    """Answers zeros of the declared outputs."""

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._closed = False

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs as declared."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs as declared."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Check the inputs and return zeros; free dimensions become 1.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the model is closed.
        """
        if self._closed:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        return tuple(_zeros(spec) for spec in self._outputs)

    def close(self) -> None:
        """Refuse later runs. Idempotent."""
        self._closed = True


class NullRuntime:
    """Makes models out of declared specs."""

    name = "null"
    version = "1"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self._options = options or RuntimeOptions()

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Return a model with the declared specs, whatever the path.

        Raises:
            ModelLoadError: no outputs were declared.
        """
        del path, threads  # nothing is read and nothing runs
        if not self._options.outputs:
            msg = "the null runtime has no model of its own: pass RuntimeOptions(inputs=…, outputs=…)"
            raise ModelLoadError(msg)
        return NullModel(self._options.inputs, self._options.outputs)


def _zeros(spec: TensorSpec, /) -> Array:
    shape = tuple(1 if size == ANY_SIZE else size for size in spec.shape)
    return np.zeros(shape, dtype=np.dtype(spec.dtype))


create = NullRuntime
