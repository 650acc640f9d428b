"""Core: hands and regions between a message's fractions of a frame and the frame's own pixels."""

from functools import partial

import numpy as np

from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi
from schemas.messages import Result, RoiBox


def hands_of(message: Result, width_px: int, height_px: int) -> HandsResult:
    """A reply's hands on a frame of this size in pixels."""
    roi = partial(roi_of, width=width_px, height=height_px)
    return HandsResult(
        hands=tuple(
            Hand(
                landmarks=np.array(hand.landmarks, dtype=np.float32),
                presence=hand.presence,
                handedness=hand.handedness,
                roi=roi(hand.roi),
            )
            for hand in message.hands
        ),
        next_rois=tuple(roi(box) for box in message.next_rois),
    )


def roi_of(box: RoiBox, *, width: int, height: int) -> Roi:
    """A message's box in fractions of a frame as a region in its pixels."""
    return Roi(
        cx=box.center_x * width,
        cy=box.center_y * height,
        width=box.width * width,
        height=box.height * height,
        rotation_rad=box.rotation_rad,
    )


def box_of(roi: Roi, *, width: int, height: int) -> RoiBox:
    """A region in pixels as a message's box in fractions of the frame."""
    return RoiBox(
        center_x=roi.cx / width,
        center_y=roi.cy / height,
        width=roi.width / width,
        height=roi.height / height,
        rotation_rad=roi.rotation_rad,
    )
