"""Pure core: the edges of a model, where pixels become its input and its outputs become real numbers.

A model may be float or int8 at either edge; the specs say which. Nothing outside this file needs to know.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import TaskError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.tasks.roi import Roi, frame_from_crop

_UNIT = np.float32(1 / 255)


def check_shapes(
    model: Model, *, task: str, input_shape: tuple[int, ...], output_sizes: tuple[int, ...]
) -> None:
    """Refuse a model whose one input or whose sorted output sizes differ from the task's.

    Raises:
        TaskError: names the shapes it has and those expected.
    """
    inputs = [tuple(spec.shape) for spec in model.inputs()]
    sizes = tuple(sorted(math.prod(spec.shape) for spec in model.outputs()))
    if inputs != [input_shape] or sizes != output_sizes:
        raise TaskError(
            f"not a {task} model: it takes {inputs} and gives {sizes} values; "
            f"choose one that takes {input_shape} and gives {output_sizes}"
        )


def crop_image(image_rgb: NDArray[np.uint8], roi: Roi, *, side: int, border: int) -> NDArray[np.uint8]:
    """Cut a region out of an image (H, W, 3) as a side x side square; ``border`` is cv2's border mode."""
    crop = cv2.warpAffine(
        image_rgb,
        frame_from_crop(roi, side=side),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )
    return np.asarray(crop, dtype=np.uint8)


def encode_image(crop: NDArray[np.uint8], spec: TensorSpec) -> Array:
    """A uint8 crop (side, side, 3) as the model's input [1, side, side, 3], pixel values 0 to 1."""
    if spec.scale is None or spec.zero_point is None or spec.dtype.startswith("float"):
        return np.multiply(crop, _UNIT, dtype=np.float32)[np.newaxis]
    table = _quantised_pixels(spec.dtype, spec.scale, spec.zero_point)
    return np.take(table, crop)[np.newaxis]


def decode_output(values: Array, spec: TensorSpec) -> NDArray[np.float32]:
    """A model output as real float32 numbers, its shape kept."""
    if spec.scale is None or spec.zero_point is None or spec.dtype.startswith("float"):
        return np.asarray(values, dtype=np.float32)
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


@lru_cache(maxsize=8)
def _quantised_pixels(dtype: str, scale: float, zero_point: int) -> Array:
    """What each of the 256 pixel values is on the model's integer scale."""
    limits = np.iinfo(np.dtype(dtype))
    steps = np.rint(np.arange(256) / 255 / scale) + zero_point
    table: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
    table.setflags(write=False)
    return table
