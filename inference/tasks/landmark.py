"""The hand landmark model: a region of a frame in, 21 points out (MediaPipe ``hand_landmark_{lite,full}``).

Presence and handedness come out of the model as probabilities already; applying a sigmoid again would
never let presence fall below 0.5. Pure but for the model it runs.
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.runtimes.base import Array, Model, TensorSpec
from inference.tasks.roi import Roi, frame_from_crop
from inference.tasks.tensors import check_shapes, crop_image, decode_output, encode_image

LANDMARK_SIDE = 224
N_LANDMARKS = 21
NORMALIZE_Z = 0.4
_POINTS_SIZE = N_LANDMARKS * 3
_OUTPUT_NAME = re.compile(r"Identity(?:_(\d+))?(?::\d+)?$")
_OUTPUT_POSITIONS = [0, 1, 2, 3]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLandmarks:
    """What the model says of one crop.

    ``points``: (21, 3) float32 in crop pixels as the model gives them; ``presence`` 0 to 1;
    ``handedness`` 0 to 1, the probability of MediaPipe's label ``Left``.
    """

    points: NDArray[np.float32]
    presence: float
    handedness: float


def check_landmark_model(model: Model) -> None:
    """Refuse a model that is not a hand landmark model.

    Raises:
        TaskError: names the shapes it has and those expected.
    """
    check_shapes(
        model,
        task="hand landmark",
        input_shape=(1, LANDMARK_SIDE, LANDMARK_SIDE, 3),
        output_sizes=(1, 1, _POINTS_SIZE, _POINTS_SIZE),
    )


def hand_crop(image_rgb: NDArray[np.uint8], roi: Roi) -> NDArray[np.uint8]:
    """The pixels (224, 224, 3) that the landmark model sees of a region."""
    return crop_image(image_rgb, roi, side=LANDMARK_SIDE, border=cv2.BORDER_REPLICATE)


def run_landmarks(crop: NDArray[np.uint8], *, model: Model) -> RawLandmarks:
    """Run the model on one crop (224, 224, 3)."""
    outputs = model.run([encode_image(crop, model.inputs()[0])])
    return decode_landmarks(outputs, model.outputs())


def decode_landmarks(outputs: tuple[Array, ...], specs: tuple[TensorSpec, ...]) -> RawLandmarks:
    """Read the model's outputs: the first 63 values are the points, the two single ones are the scores.

    Screen points come before world points and presence before handedness: in the order of MediaPipe's
    names (``Identity``, ``Identity_1``, ...) where the outputs bear them, else in the order of the file.
    """
    pairs = list(zip(specs, outputs, strict=True))
    positions = [_position(spec.name) for spec in specs]
    ordered = [pairs[i] for i in np.argsort(positions)] if sorted(positions) == _OUTPUT_POSITIONS else pairs
    real = [decode_output(values, spec).reshape(-1) for spec, values in ordered]
    points = next(values for values in real if values.size == _POINTS_SIZE)
    presence, handedness = (float(values[0]) for values in real if values.size == 1)
    return RawLandmarks(points=points.reshape(N_LANDMARKS, 3), presence=presence, handedness=handedness)


def project_landmarks(points: NDArray[np.float32], roi: Roi) -> NDArray[np.float32]:
    """Model points (21, 3) as x, y, z in pixels of the full frame; z grows away from the camera."""
    matrix = frame_from_crop(roi, side=LANDMARK_SIDE)
    screen = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    depth = points[:, 2:] * (roi.width / LANDMARK_SIDE / NORMALIZE_Z)
    return np.concatenate([screen, depth], axis=1).astype(np.float32)


def _position(name: str) -> int:
    """The number at the end of MediaPipe's output names, -1 for any other name."""
    found = _OUTPUT_NAME.search(name)
    return int(found.group(1) or 0) if found else -1
