"""Core around a model: its answers to many samples, as stacked float32 whatever the model's edges are.

A sample is a float32 array for a model with one input; models with integer edges are fed and read through
the scale and zero point of their specs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.base import Array, Model, TensorSpec
from inference.tasks.tensors import decode_output

Floats = NDArray[np.float32]

_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def answers(model: Model, samples: Sequence[Array], /) -> tuple[Floats, ...]:
    """Run a model on every sample; one array (samples, …) per output, the batch axis of 1 folded away."""
    spec = model.inputs()[0]
    rows = [model.run([encode_values(sample, spec)]) for sample in samples]
    return tuple(
        np.stack([_row(row[index], output) for row in rows]) for index, output in enumerate(model.outputs())
    )


def encode_values(values: Array, spec: TensorSpec, /) -> Array:
    """Real numbers as a model's input: cast, or put on its integer scale; images with channels where it has them."""
    values = _laid_out(values, spec.shape)
    if spec.scale is None or spec.zero_point is None:
        return values.astype(spec.dtype, copy=False)
    limits = np.iinfo(np.dtype(spec.dtype))
    steps = np.rint(np.asarray(values, np.float32) / np.float32(spec.scale)) + spec.zero_point
    encoded: Array = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return encoded


def _laid_out(values: Array, shape: tuple[int, ...]) -> Array:
    """An image with its channels first or last, as the model takes it; converters move them."""
    for order in (_CHANNELS_FIRST, _CHANNELS_LAST):
        if values.ndim == len(order) and values.shape != tuple(shape):
            moved = values.transpose(order)
            if moved.shape == tuple(shape):
                return np.ascontiguousarray(moved)
    return values


def _row(values: Array, spec: TensorSpec) -> Floats:
    real = decode_output(values, spec)
    return real[0] if real.ndim > 1 and real.shape[0] == 1 else real
