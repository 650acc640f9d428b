"""The palm detector: a whole frame in, palms out (MediaPipe ``palm_detection_{lite,full}``).

Pure but for the model it runs. The frame is letterboxed onto 192 x 192 with black, every anchor's score is
a logit, and boxes that overlap are averaged by score instead of dropped.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.runtimes.base import Array, Model
from inference.tasks.roi import Roi, roi_from_palm, whole_frame
from inference.tasks.tensors import check_shapes, crop_image, decode_output, encode_image

PALM_SIDE = 192
N_ANCHORS = 2016
N_KEYPOINTS = 7
_BOX_VALUES = 4
_LOGIT_CLIP = 100.0
_STRIDES = (8, 16, 16, 16)
_ANCHORS_PER_LAYER_CELL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Palm:
    """One palm: score 0 to 1, box (4,) x0,y0,x1,y1 and keypoints (7, 2), in pixels of the full frame."""

    score: float
    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]

    def roi(self) -> Roi:
        """The region of the whole hand."""
        return roi_from_palm(box=self.box, keypoints=self.keypoints)


@lru_cache(maxsize=1)
def palm_anchors() -> NDArray[np.float32]:
    """Anchor centres (2016, 2) in the letterboxed square, 0 to 1; all anchors have size 1."""
    layers = []
    for stride in dict.fromkeys(_STRIDES):
        cells = PALM_SIDE // stride
        repeats = _ANCHORS_PER_LAYER_CELL * _STRIDES.count(stride)
        ys, xs = np.mgrid[0:cells, 0:cells]
        centres = (np.stack([xs, ys], axis=-1).reshape(-1, 2) + 0.5) / cells
        layers.append(np.repeat(centres, repeats, axis=0))
    anchors = np.concatenate(layers).astype(np.float32)
    anchors.setflags(write=False)
    return anchors


def check_palm_model(model: Model) -> None:
    """Refuse a model that is not a palm detector.

    Raises:
        TaskError: names the shapes it has and those expected.
    """
    check_shapes(
        model,
        task="palm detection",
        input_shape=(1, PALM_SIDE, PALM_SIDE, 3),
        output_sizes=(N_ANCHORS, N_ANCHORS * (_BOX_VALUES + 2 * N_KEYPOINTS)),
    )


def detect_palms(
    image_rgb: NDArray[np.uint8], *, model: Model, min_score: float, nms_iou: float
) -> list[Palm]:
    """Palms in an image (H, W, 3), best score first."""
    height, width = image_rgb.shape[:2]
    frame = whole_frame(width=width, height=height)
    crop = crop_image(image_rgb, frame, side=PALM_SIDE, border=cv2.BORDER_CONSTANT)
    outputs = model.run([encode_image(crop, model.inputs()[0])])
    regressors, logits = _real_outputs(model, outputs)
    return [_in_pixels(palm, frame) for palm in decode_palms(regressors, logits, min_score, nms_iou)]


def decode_palms(
    regressors: NDArray[np.float32], logits: NDArray[np.float32], min_score: float, nms_iou: float
) -> list[Palm]:
    """Palms in units of the letterboxed square from regressors (2016, 18) and logits (2016,)."""
    # in float64: exp(100) of the reference graph's clip does not fit a float32
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_LOGIT_CLIP, _LOGIT_CLIP)))
    hits = np.flatnonzero(scores >= min_score)
    values = regressors[hits] / np.float32(PALM_SIDE)
    centres = values[:, :2] + palm_anchors()[hits]
    half = values[:, 2:4] / 2
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    keypoints = values[:, _BOX_VALUES:].reshape(-1, N_KEYPOINTS, 2) + palm_anchors()[hits, np.newaxis]
    usable = np.all(half > 0, axis=1) & np.isfinite(values).all(axis=1)
    return _weighted_nms(scores[hits][usable], boxes[usable], keypoints[usable], nms_iou)


def _real_outputs(
    model: Model, outputs: tuple[Array, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Regressors and logits, told apart by shape because engines order outputs as they like."""
    real = [decode_output(v, spec) for v, spec in zip(outputs, model.outputs(), strict=True)]
    real.sort(key=lambda values: values.size)
    logits, regressors = real
    return regressors.reshape(N_ANCHORS, -1), logits.reshape(N_ANCHORS)


def _weighted_nms(
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32],
    keypoints: NDArray[np.float32],
    nms_iou: float,
) -> list[Palm]:
    left = np.argsort(-scores, kind="stable")
    palms = []
    while left.size:
        best = left[0]
        near = _ious(boxes[best], boxes[left]) > nms_iou
        near[0] = True
        group = left[near]
        weights = scores[group] / scores[group].sum()
        palms.append(
            Palm(
                score=float(scores[best]),
                box=(weights @ boxes[group]).astype(np.float32),
                keypoints=np.tensordot(weights, keypoints[group], axes=1).astype(np.float32),
            )
        )
        left = left[~near]
    return palms


def _ious(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    total = np.prod(box[2:] - box[:2]) + areas - overlap
    return np.asarray(overlap / total, dtype=np.float32)


def _in_pixels(palm: Palm, frame: Roi) -> Palm:
    corner = np.array([frame.cx - frame.width / 2, frame.cy - frame.height / 2], dtype=np.float32)
    side = np.float32(frame.width)
    return Palm(
        score=palm.score,
        box=palm.box * side + np.tile(corner, 2),
        keypoints=palm.keypoints * side + corner,
    )
