"""Pure core but for the models it runs: the regions of a photo in which a landmark model is looked at.

Regions with a hand show how far points drift; regions without one show what a model takes for a hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.tasks.hands import HandTask
from inference.tasks.roi import Roi, iou

# Regions without hands: size as a fraction of the frame's shorter side, and how they are turned.
_EMPTY_SIZES_AND_TURNS_RAD = ((0.35, 0.0), (0.6, 2.1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Regions of one image in its pixels: those a hand was seen in, and those far from every hand."""

    hands: tuple[Roi, ...]
    empty: tuple[Roi, ...]


def photo_regions(image_rgb: NDArray[np.uint8], *, task: HandTask) -> Regions:
    """Regions as the task meets them: from the palm, from tracking, and a grid away from both."""
    result = task.run(image_rgb)
    hands = (*(hand.roi for hand in result.hands), *result.next_rois)
    height, width = image_rgb.shape[:2]
    empty = tuple(roi for roi in _grid(width, height) if all(iou(roi, hand) == 0.0 for hand in hands))
    return Regions(hands=hands, empty=empty)


def _grid(width: int, height: int) -> Iterator[Roi]:
    """Half-overlapping squares of each size, wholly inside a width x height frame."""
    for fraction, turn in _EMPTY_SIZES_AND_TURNS_RAD:
        side = fraction * min(width, height)
        for cy in np.arange(side / 2, height - side / 2 + 1e-6, side / 2):
            for cx in np.arange(side / 2, width - side / 2 + 1e-6, side / 2):
                yield Roi(cx=float(cx), cy=float(cy), width=side, height=side, rotation_rad=turn)
