"""Pure core but for the models it runs: one landmark model against another on the very same pixels.

Scoring a whole pipeline mixes the model with the region it was given. Here both models see the same crops:
regions with a hand show how far the points drift and whether the scores still mean the same, regions
without one show what the candidate takes for a hand. The reference model decides which hands there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.scoring import hand_distance, quantile, ratio
from inference.runtimes.base import Model
from inference.tasks.landmark import RawLandmarks, hand_crop, run_landmarks
from inference.tasks.roi import Roi

PRESENT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """What the reference and the candidate say of one crop."""

    reference: RawLandmarks
    candidate: RawLandmarks


def pair_up(
    image_rgb: NDArray[np.uint8], rois: Iterable[Roi], *, reference: Model, candidate: Model
) -> list[Pair]:
    """Run both models on each region of an image (H, W, 3)."""
    pairs = []
    for roi in rois:
        crop = hand_crop(image_rgb, roi)
        pairs.append(
            Pair(
                reference=run_landmarks(crop, model=reference),
                candidate=run_landmarks(crop, model=candidate),
            )
        )
    return pairs


def agreement(*, hands: Sequence[Pair], empty: Sequence[Pair]) -> dict[str, float | int | None]:
    """How a candidate agrees: distances in longer sides of the reference's hand box, rates 0 to 1."""
    present = [pair for pair in hands if pair.reference.presence > PRESENT]
    distances = [hand_distance(pair.reference.points, pair.candidate.points) for pair in present]
    lost = sum(not pair.candidate.presence > PRESENT for pair in present)
    flips = sum((pair.reference.handedness > 0.5) != (pair.candidate.handedness > 0.5) for pair in present)
    said = sum(pair.candidate.presence > PRESENT for pair in empty)
    said_by_reference = sum(pair.reference.presence > PRESENT for pair in empty)
    return {
        "n_regions": len(present),
        "median": quantile(distances, 0.5),
        "p90": quantile(distances, 0.9),
        "lost_hands": lost,
        "handedness_flips": flips,
        "handedness_flip_rate": ratio(flips, len(present)),
        "n_empty_regions": len(empty),
        "false_presences": said,
        "false_presences_float": said_by_reference,
        "false_presence_rate_added": ratio(said - said_by_reference, len(empty)),
    }
