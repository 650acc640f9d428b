"""Vocabulary and core: what a quantiser calibrates on and is judged by, kept apart photo by photo.

Crops of one photo look alike, so a model judged on the photo it was calibrated on looks better than it is.
Photos are told apart by the sha256 of their pixels: the same photo under two names stays on one side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.errors import QuantiseRefusedError
from inference.refusals import Reason
from inference.runtimes.base import Array

MIN_PHOTOS = 3
CANARIES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoSamples:
    """Model inputs of one photo (float32, batch of 1).

    ``digest``: sha256 of its pixels. ``found`` are inputs that show what the task looks for, ``empty`` are
    inputs that do not.
    """

    digest: str
    found: tuple[Array, ...]
    empty: tuple[Array, ...] = ()

    @property
    def inputs(self) -> tuple[Array, ...]:
        """All inputs of this photo."""
        return (*self.found, *self.empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSplit:
    """Two sets of photos that share none."""

    calibration: tuple[PhotoSamples, ...]
    held_back: tuple[PhotoSamples, ...]


def split_photos(
    photos: Sequence[PhotoSamples], /, *, held_back_share: float, rng: np.random.Generator
) -> PhotoSplit:
    """Split distinct photos; the order they come in does not matter, the generator does.

    Photos that show nothing are held back: they cost calibration nothing and judge false alarms.

    Raises:
        QuantiseRefusedError: fewer than three distinct photos show what the task looks for.
    """
    distinct = sorted({photo.digest: photo for photo in photos}.values(), key=lambda photo: photo.digest)
    showing = [photo for photo in distinct if photo.found]
    if len(showing) < MIN_PHOTOS:
        detail = f"only {len(showing)} distinct photos show it, at least {MIN_PHOTOS} are needed"
        raise QuantiseRefusedError(Reason("too_few_photos", detail))
    order = [showing[index] for index in rng.permutation(len(showing))]
    count = min(max(1, round(held_back_share * len(order))), len(order) - 1)
    nothing = [photo for photo in distinct if not photo.found and photo.empty]
    return PhotoSplit(calibration=tuple(order[count:]), held_back=(*order[:count], *nothing))


def canaries(photos: Sequence[PhotoSamples], /) -> list[Array]:
    """Inputs to keep as golden vectors: of as many photos as possible, three that show something, and an empty one.

    Where too few show something, more empty ones take their place.
    """
    showing = [photo.found[0] for photo in photos if photo.found]
    more = [array for photo in photos for array in photo.found[1:]]
    nothing = [array for photo in photos for array in photo.empty]
    chosen = (showing + more)[:CANARIES]
    return [*chosen, *nothing[: max(1, CANARIES - len(chosen))]]
