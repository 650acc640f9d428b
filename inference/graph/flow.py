"""Vocabulary: a model as plain flow of tensors through operators, whatever file format it came from.

The graph readers of each format make a ``Flow``; cuts, profiles and placements are computed from it alone.
Execution order is the order of ``operators``; a position ``k`` lies before operator ``k``, so that
``operators[:k]`` have run and ``operators[k:]`` have not.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

FileFormat = Literal["tflite", "onnx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTensor:
    """A tensor that exists at run time.

    ``constant`` is True for what the file stores and for everything that follows from constants alone: such a
    tensor is never sent, and an operator that yields only such tensors belongs to whoever needs its result.
    ``scale`` and ``zero_point`` are those of per-tensor quantisation, None without.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool = False
    scale: float | None = None
    zero_point: int | None = None

    @property
    def payload_bytes(self) -> int:
        """Bytes of the values at run time."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOperator:
    """An operator; ``inputs`` and ``outputs`` index the flow's tensors, absent optional inputs are left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One model. ``inputs`` and ``outputs`` index ``tensors`` in the order the model declares them.

    ``whole``: half-open ranges of operators that must not be cut apart, such as a detector's post-processing.
    """

    file_format: FileFormat
    tensors: tuple[FlowTensor, ...]
    operators: tuple[FlowOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    whole: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A place where a model may be cut in two.

    ``crossing`` are the tensors (indices into the flow) that the second part needs of the first, graph inputs
    included where they are still read; ``early`` are graph outputs that the first part yields already.
    ``payload_bytes`` counts ``crossing`` only.
    """

    position: int
    crossing: tuple[int, ...]
    early: tuple[int, ...]
    payload_bytes: int
