"""Core: an engine that computes nothing, to measure everything around inference.

Its models declare the specs they were given and answer zeros at once. Reads no file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.errors import ModelLoadError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime
from inference.runtimes.checks import ANY_SIZE
from inference.runtimes.options import RuntimeOptions


class NullRuntime(CheckedRuntime):
    """Makes models out of declared specs."""

    name = "null"
    version = "1"
    failure = EngineFailure(engine=name)

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self._options = options or RuntimeOptions()

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        del path, threads  # nothing is read and nothing runs
        inputs, outputs = self._options.inputs, self._options.outputs
        if not outputs:
            msg = "the null runtime has no model of its own: pass RuntimeOptions(inputs=…, outputs=…)"
            raise ModelLoadError(msg)

        def compute(_: Sequence[Array], /) -> tuple[Array, ...]:
            return tuple(_zeros(spec) for spec in outputs)

        return CheckedModel(compute, inputs=inputs, outputs=outputs, failure=self.failure)


def _zeros(spec: TensorSpec, /) -> Array:
    shape = tuple(1 if size == ANY_SIZE else size for size in spec.shape)
    return np.zeros(shape, dtype=np.dtype(spec.dtype))


create = NullRuntime
