"""Vocabulary of runtimes: what every engine that can run a model offers.

The interface is four methods and carries no code; implementations are rows in ``RUNTIMES`` of
``inference.runtimes.registry``. Nothing here imports an engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model as the engine sees it.

    ``scale`` and ``zero_point`` describe per-tensor quantisation, real = scale * (stored - zero_point);
    both are None for float tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


class Model(Protocol):
    """A loaded model. One instance belongs to one thread at a time."""

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in the order ``run`` expects them."""
        ...

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in the order ``run`` returns them."""
        ...

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once. Arrays match ``inputs()`` in shape and dtype; results are copies the caller owns.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
        """
        ...

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        ...


class Runtime(Protocol):
    """An engine that opens model files."""

    @property
    def name(self) -> str:
        """The row's name, for example ``litert``."""
        ...

    @property
    def version(self) -> str:
        """The engine's own version, for presence and fingerprints."""
        ...

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model this engine can open; says why.
            RuntimeMissingError: the engine is not installed; names the extra to install.
        """
        ...
