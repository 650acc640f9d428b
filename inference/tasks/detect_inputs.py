"""Pure core: what an object detector is fed, as its family was trained: letterboxed, grey border.

The family is recognised from the model's own edges: one image in, one row of box, score and class scores out per
anchor. YOLOX has one anchor a cell and takes BGR 0 to 255 from the upper left; YOLOv5 has three and takes RGB 0 to
1 from the middle. Refuses models that are neither.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import TaskError
from inference.runtimes.base import Model

BORDER = 114
_STRIDES = (8, 16, 32)
_FIRST_CLASS = 5
_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family of detectors is fed. ``anchors`` a cell; ``unit`` multiplies pixel values 0 to 255."""

    name: str
    anchors: int
    bgr: bool
    unit: float
    centred: bool


FAMILIES = (
    Family(name="yolox", anchors=1, bgr=True, unit=1.0, centred=False),
    Family(name="yolov5", anchors=3, bgr=False, unit=1 / 255, centred=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorEdges:
    """A recognised detector: its family, its input in pixels, and where its channels are."""

    family: Family
    height: int
    width: int
    channels_first: bool


def detector_edges(model: Model, /) -> DetectorEdges:
    """Recognise a detector.

    Raises:
        TaskError: it takes no image, or answers in rows of no known family.
    """
    inputs = [tuple(spec.shape) for spec in model.inputs()]
    outputs = [tuple(spec.shape) for spec in model.outputs()]
    if len(inputs) == 1 and len(outputs) == 1 and len(inputs[0]) == 4 and len(outputs[0]) == 3:
        first = inputs[0][1] == _CHANNELS
        height, width = inputs[0][2:] if first else inputs[0][1:3]
        cells = sum((height // stride) * (width // stride) for stride in _STRIDES)
        _, rows, columns = outputs[0]
        for family in FAMILIES:
            if rows == cells * family.anchors and columns > _FIRST_CLASS:
                return DetectorEdges(family=family, height=height, width=width, channels_first=first)
    names = ", ".join(family.name for family in FAMILIES)
    raise TaskError(
        f"not a detector known here: it takes {inputs} and gives {outputs}; choose a model of {names} "
        "with one output of box, score and classes per anchor, before non-maximum suppression"
    )


def detector_input(photo: NDArray[np.uint8], /, *, edges: DetectorEdges) -> NDArray[np.float32]:
    """A photo (H, W, 3) in RGB as the detector's input, batch of 1."""
    family = edges.family
    boxed = letterbox(photo, height=edges.height, width=edges.width, centred=family.centred)
    values = (boxed[..., ::-1] if family.bgr else boxed).astype(np.float32) * np.float32(family.unit)
    ordered = values.transpose(2, 0, 1) if edges.channels_first else values
    return np.ascontiguousarray(ordered[np.newaxis])


def letterbox(photo: NDArray[np.uint8], /, *, height: int, width: int, centred: bool) -> NDArray[np.uint8]:
    """A photo scaled to fit, its shape kept, the rest of ``height`` x ``width`` grey."""
    scale = min(height / photo.shape[0], width / photo.shape[1])
    inner = (max(1, int(photo.shape[0] * scale)), max(1, int(photo.shape[1] * scale)))
    top, left = ((height - inner[0]) // 2, (width - inner[1]) // 2) if centred else (0, 0)
    boxed = np.full((height, width, _CHANNELS), BORDER, np.uint8)
    boxed[top : top + inner[0], left : left + inner[1]] = cv2.resize(photo, inner[::-1])
    return boxed
