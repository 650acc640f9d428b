"""Pure core: what a frame shows, without pixels: one hand most of the time.

Rhythm of the headset's walk over photos, rounded: the view stays 3.25 s with a photo and leaves it for 0.75 s in
which no hand is seen. The palm model runs when there is no region to look into.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_node.frames import Image
from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi

STAY, LEAVE = 98, 22  # frames at 30 fps
PICTURE: Image = np.zeros((1, 1, 3), np.uint8)
ROI = Roi(cx=320.0, cy=180.0, width=200.0, height=200.0)
HAND = Hand(landmarks=np.full((21, 3), 0.5, np.float32), presence=0.98, handedness=0.9, roi=ROI)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPixels:
    """Stands where a model would: the world computes nothing."""

    def run(self, image_rgb: Image, *, rois: Sequence[Roi] = ()) -> HandsResult:
        """Nothing was seen, because nothing was looked at."""
        del image_rgb, rois
        return HandsResult()


def shows(frame_id: int, *, rois: tuple[Roi, ...]) -> HandsResult:
    """What a model finds in this frame when it looks into these regions first."""
    if frame_id % (STAY + LEAVE) < STAY:
        return HandsResult(hands=(HAND,), next_rois=(ROI,), palm_ran=not rois)
    return HandsResult(palm_ran=not rois, rejected=len(rois))  # one hand at most is looked for, as by default
