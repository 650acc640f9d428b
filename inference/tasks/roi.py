"""Pure core: the rotated regions of a frame that a hand may be in, and how points move in and out of them.

All regions are in pixels of the full frame, y down, rotation clockwise on the screen, so that a square is
a square whatever the frame's shape. Callers that shrink a frame scale the region with it
(``Roi.scaled``). Constants are those of MediaPipe's hand graph; change none without its oracle.
Nothing here reads a pixel or runs a model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PALM_SCALE = 2.6
PALM_SHIFT_Y = -0.5
LANDMARK_SCALE = 2.0
LANDMARK_SHIFT_Y = -0.1

WRIST = 0
INDEX_MCP, MIDDLE_MCP, RING_MCP = 5, 9, 13
PALM_WRIST, PALM_MIDDLE_MCP = 0, 2
# The knuckles that the next region is drawn around; finger tips would make it jump when a finger moves.
STABLE_LANDMARKS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)

_UPRIGHT_RAD = math.pi / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Roi:
    """A rotated rectangle: centre and size in pixels of the full frame, rotation in radians."""

    cx: float
    cy: float
    width: float
    height: float
    rotation_rad: float = 0.0

    def scaled(self, factor: float) -> "Roi":
        """The same region on a frame whose sides are ``factor`` times as long."""
        return Roi(
            cx=self.cx * factor,
            cy=self.cy * factor,
            width=self.width * factor,
            height=self.height * factor,
            rotation_rad=self.rotation_rad,
        )

    def moved(self, *, dx: float, dy: float) -> "Roi":
        """The same region, its centre moved by (dx, dy) pixels."""
        return Roi(
            cx=self.cx + dx,
            cy=self.cy + dy,
            width=self.width,
            height=self.height,
            rotation_rad=self.rotation_rad,
        )


def whole_frame(*, width: int, height: int) -> Roi:
    """The smallest centred square that holds the whole frame: MediaPipe's letterbox as a region."""
    side = float(max(width, height))
    return Roi(cx=width / 2, cy=height / 2, width=side, height=side)


def frame_from_crop(roi: Roi, *, side: int) -> NDArray[np.float64]:
    """The 2x3 matrix that takes a pixel of the side x side crop to a pixel of the full frame."""
    cos, sin = math.cos(roi.rotation_rad), math.sin(roi.rotation_rad)
    sx, sy = roi.width / side, roi.height / side
    half_w, half_h = roi.width / 2, roi.height / 2
    return np.array(
        [
            [sx * cos, -sy * sin, roi.cx - cos * half_w + sin * half_h],
            [sx * sin, sy * cos, roi.cy - sin * half_w - cos * half_h],
        ]
    )


def roi_from_palm(*, box: NDArray[np.float32], keypoints: NDArray[np.float32]) -> Roi:
    """The region of a whole hand from a palm: box (4,) x0,y0,x1,y1 and keypoints (7, 2), in pixels."""
    wrist, middle = keypoints[PALM_WRIST], keypoints[PALM_MIDDLE_MCP]
    x0, y0, x1, y1 = (float(v) for v in box)
    return _transformed(
        Roi(
            cx=(x0 + x1) / 2,
            cy=(y0 + y1) / 2,
            width=x1 - x0,
            height=y1 - y0,
            rotation_rad=_rotation(start=wrist, end=middle),
        ),
        scale=PALM_SCALE,
        shift_y=PALM_SHIFT_Y,
    )


def roi_from_landmarks(points: NDArray[np.floating]) -> Roi:
    """The region to look for the same hand in next, from its 21 landmarks (21, >= 2) in pixels."""
    stable = np.asarray(points[list(STABLE_LANDMARKS), :2], dtype=np.float64)
    knuckles = (points[INDEX_MCP, :2] + points[RING_MCP, :2]) / 2
    rotation = _rotation(start=points[WRIST], end=(knuckles + points[MIDDLE_MCP, :2]) / 2)
    upright_from_frame = _rotation_matrix(-rotation)
    frame_from_upright = _rotation_matrix(rotation)
    middle = (stable.max(axis=0) + stable.min(axis=0)) / 2
    upright = (stable - middle) @ upright_from_frame.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    centre = frame_from_upright @ ((low + high) / 2) + middle
    return _transformed(
        Roi(
            cx=float(centre[0]),
            cy=float(centre[1]),
            width=float(high[0] - low[0]),
            height=float(high[1] - low[1]),
            rotation_rad=rotation,
        ),
        scale=LANDMARK_SCALE,
        shift_y=LANDMARK_SHIFT_Y,
    )


def iou(a: Roi, b: Roi) -> float:
    """Overlap of two regions as MediaPipe measures it: their rotation is ignored."""
    over_w = min(a.cx + a.width / 2, b.cx + b.width / 2) - max(a.cx - a.width / 2, b.cx - b.width / 2)
    over_h = min(a.cy + a.height / 2, b.cy + b.height / 2) - max(a.cy - a.height / 2, b.cy - b.height / 2)
    if over_w <= 0 or over_h <= 0:
        return 0.0
    overlap = over_w * over_h
    return overlap / (a.width * a.height + b.width * b.height - overlap)


def associate(*, found: Sequence[Roi], tracked: Sequence[Roi], min_iou: float) -> list[Roi]:
    """Tracked regions first, then the found ones that none of them (nor a later found one) covers."""
    kept_found = _without_covered(found, min_iou=min_iou)
    kept_tracked = _without_covered(tracked, min_iou=min_iou)
    new = [roi for roi in kept_found if all(iou(roi, other) <= min_iou for other in tracked)]
    return [*kept_tracked, *new]


def _without_covered(rois: Sequence[Roi], *, min_iou: float) -> list[Roi]:
    return [roi for i, roi in enumerate(rois) if all(iou(roi, later) <= min_iou for later in rois[i + 1 :])]


def _transformed(roi: Roi, *, scale: float, shift_y: float) -> Roi:
    # The shift uses the height before the rectangle becomes a square: the order matters (RectTransformation).
    long_side = max(roi.width, roi.height)
    return Roi(
        cx=roi.cx - roi.height * shift_y * math.sin(roi.rotation_rad),
        cy=roi.cy + roi.height * shift_y * math.cos(roi.rotation_rad),
        width=long_side * scale,
        height=long_side * scale,
        rotation_rad=roi.rotation_rad,
    )


def _rotation(*, start: NDArray[np.floating], end: NDArray[np.floating]) -> float:
    """Angle by which the crop is turned so that start -> end points up."""
    angle = _UPRIGHT_RAD - math.atan2(-(float(end[1]) - float(start[1])), float(end[0]) - float(start[0]))
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def _rotation_matrix(angle_rad: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cos, -sin], [sin, cos]])
