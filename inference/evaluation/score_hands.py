"""Shell that runs the hand task over real photos and videos and scores it against reference answers.

Reads pixels as the reference does (OpenCV, EXIF applied) and keeps one image in memory at a time. Videos
run in tracking mode through the headset's own tracker. How a pair is scored stays in ``inference.evaluation.scoring``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import OracleError
from inference.evaluation.hand_agreement import Pair, agreement, pair_up
from inference.evaluation.oracle import ReferencePhoto, ReferenceVideo
from inference.evaluation.scoring import Tally, score, tally_image
from inference.quantize.photo_regions import photo_regions
from inference.quantize.photo_sources import read_photo
from inference.runtimes.base import Model
from inference.tasks.hands import HandsResult, HandTask
from inference.tasks.tracking import HandTracker

Figures = dict[str, Any]
Advance = Callable[[], None]

# Each photo costs some forty runs of either model here; more photos would not change the figures.
_MAX_COMPARED_PHOTOS = 200
# Of a video's regions with hands every fifth is compared: neighbours show the same.
_VIDEO_STRIDE = 5
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HandModels:
    """Loaded models: the palm detector, the float landmark model and, where there is one, the int8 one."""

    palm: Model
    landmark: Model
    int8: Model | None = None

    def tasks(self) -> dict[str, HandTask]:
        """A task per landmark model, under the name its figures carry."""
        tasks = {"float": HandTask(palm=self.palm, landmark=self.landmark)}
        if self.int8 is not None:
            tasks["int8"] = HandTask(palm=self.palm, landmark=self.int8)
        return tasks


def score_photos(
    photos: Sequence[ReferencePhoto], *, models: HandModels, held_back: frozenset[str], advance: Advance
) -> dict[str, Figures]:
    """Figures of each model over photos, each alone; ``advance`` is called after every photo.

    ``held_back`` names the photos that int8 is compared with float on: those it was not calibrated with.

    Raises:
        OracleError: a photo cannot be read or is not of the size the oracle says.
    """
    tasks = models.tasks()
    tallies: dict[str, list[Tally]] = {name: [] for name in tasks}
    with_hand: list[Pair] = []
    without: list[Pair] = []
    compared = [photo for photo in photos if photo.path.name in held_back][:_MAX_COMPARED_PHOTOS]
    for photo in photos:
        image = read_photo(photo.path)
        _check_size(image, photo.path, width=photo.width, height=photo.height)
        for name, task in tasks.items():
            tallies[name].append(_tally(task.run(image), image, photo.hands))
        if models.int8 is not None and photo in compared:
            regions = photo_regions(image, task=tasks["float"])
            pair = {"reference": models.landmark, "candidate": models.int8}
            with_hand += pair_up(image, regions.hands, **pair)
            without += pair_up(image, regions.empty, **pair)
        advance()
    figures: dict[str, Figures] = {name: dict(score(found)) for name, found in tallies.items()}
    if models.int8 is not None:
        figures["int8"]["against_float"] = {
            "n_photos": len(compared),
            **agreement(hands=with_hand, empty=without),
        }
    return figures


def score_videos(
    videos: Sequence[ReferenceVideo], *, models: HandModels, advance: Advance
) -> dict[str, Figures]:
    """Figures of each model over the frames of videos in tracking mode; images are frames here.

    ``advance`` is called after every frame.

    Raises:
        OracleError: a video cannot be read, ends early or is not of the size the oracle says.
    """
    tallies: dict[str, list[Tally]] = {name: [] for name in models.tasks()}
    pairs: list[Pair] = []
    for video in videos:
        tracked = {name: (task, HandTracker()) for name, task in models.tasks().items()}
        for position, (image, reference) in enumerate(zip(_frames(video), video.frames, strict=True)):
            at_ns = round((position + 1) * _NS_PER_S / video.fps)
            for name, (task, tracker) in tracked.items():
                rois = tracker.rois(at_ns=at_ns)
                result = task.run(image, rois=rois)
                tracker.update(result, captured_ns=at_ns)
                tallies[name].append(_tally(result, image, reference))
                if name == "float" and models.int8 is not None and position % _VIDEO_STRIDE == 0:
                    seen = [hand.roi for hand in result.hands]
                    pairs += pair_up(image, seen, reference=models.landmark, candidate=models.int8)
            advance()
    figures: dict[str, Figures] = {name: dict(score(found)) for name, found in tallies.items()}
    if models.int8 is not None:
        figures["int8"]["against_float"] = agreement(hands=pairs, empty=())
    return figures


def _frames(video: ReferenceVideo) -> Iterator[NDArray[np.uint8]]:
    """Exactly as many frames as the oracle has, as RGB."""
    capture = cv2.VideoCapture(str(video.path))
    try:
        for position in range(len(video.frames)):
            read, image = capture.read()
            if not read:
                raise OracleError(
                    f"{video.path} ends at frame {position}, the oracle has {len(video.frames)}: is the file whole?"
                )
            rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            _check_size(rgb, video.path, width=video.width, height=video.height)
            yield rgb
    finally:
        capture.release()


def _check_size(image: NDArray[np.uint8], path: Path, *, width: int, height: int) -> None:
    if image.shape[:2] != (height, width):
        raise OracleError(
            f"{path} is {image.shape[1]} x {image.shape[0]}, the oracle says {width} x {height}: "
            f"pass the very files the oracle was made from"
        )


def _tally(result: HandsResult, image: NDArray[np.uint8], reference: Sequence[NDArray[np.float64]]) -> Tally:
    size = np.array([image.shape[1], image.shape[0]], dtype=np.float64)
    return tally_image(reference, [hand.landmarks[:, :2] * size for hand in result.hands])
