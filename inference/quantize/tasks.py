"""Table of tasks that can be quantised: where their model inputs come from and what their outputs must keep.

A task without a row here cannot be quantised by command. Inputs are cut by the task's own code, so that a
quantiser sees exactly what the headset will feed the model.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, TaskError
from inference.gate.output_rules import OutputRule, detector_rules
from inference.quantize.photo_regions import photo_regions
from inference.quantize.photo_samples import PhotoSamples
from inference.quantize.photo_sources import Photo
from inference.runtimes.base import Model
from inference.tasks.detect_inputs import detector_edges, detector_input
from inference.tasks.hands import HandTask
from inference.tasks.landmark import hand_crop
from inference.tasks.roi import Roi

_VARIED_PER_HAND = 6
_EMPTY_PER_PHOTO = 4
_TURN_RAD, _SCALE, _SHIFT = 0.35, 0.12, 0.06
_EXPOSURE = 0.35
_COLOURS = 3
_POINTS, _PRESENCE, _HANDEDNESS, _WORLD = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseTask:
    """How one task's model is quantised.

    ``helpers``: role → zoo name of models needed to cut inputs. ``rules`` cover every output of the model; empty
    means that they are read off the float model's answers.
    ``max_stem`` and ``max_tail``: most operators at either end that may stay float. ``golden``: per output, the mean absolute difference (in its own unit) that another engine may show.
    """

    helpers: Mapping[str, str]
    rules: tuple[OutputRule, ...]
    golden: tuple[float, ...]
    sample: Callable[[Photo, Model, Mapping[str, Model], np.random.Generator], PhotoSamples]
    max_stem: int = 8
    max_tail: int = 12


def photo_digest(photo: Photo, /) -> str:
    """Sha256 of a photo's size and pixels: the same picture in another file is the same photo."""
    return hashlib.sha256(repr(photo.shape).encode() + photo.tobytes()).hexdigest()


def hand_samples(
    photo: Photo, landmark: Model, helpers: Mapping[str, Model], rng: np.random.Generator
) -> PhotoSamples:
    """Crops of a photo's hands as palm detection and tracking cut them, varied too, and of places without hands."""
    regions = photo_regions(photo, task=HandTask(palm=helpers["palm"], landmark=landmark))
    varied = [_varied(photo, roi, rng) for roi in regions.hands for _ in range(_VARIED_PER_HAND)]
    chosen = rng.permutation(len(regions.empty))[:_EMPTY_PER_PHOTO]
    return PhotoSamples(
        digest=photo_digest(photo),
        found=(*(_input(photo, roi) for roi in regions.hands), *varied),
        empty=tuple(_input(photo, regions.empty[index]) for index in chosen),
    )


def _varied(photo: Photo, roi: Roi, rng: np.random.Generator) -> NDArray[np.float32]:
    """The hand a moment later: moved a little, in other light, and every other time its mirror image."""
    crop = _input(photo, _jitter(roi, rng)) * np.float32(1 + rng.uniform(-_EXPOSURE, _EXPOSURE))
    mirrored = crop[:, :, ::-1] if rng.random() < 0.5 else crop
    return np.ascontiguousarray(np.minimum(mirrored, np.float32(1)))


def _jitter(roi: Roi, rng: np.random.Generator) -> Roi:
    """The region as it lies when the hand moved a little since the last frame."""
    turn, scale, dx, dy = rng.uniform(-1, 1, 4) * (_TURN_RAD, _SCALE, _SHIFT, _SHIFT)
    return replace(
        roi,
        cx=roi.cx + dx * roi.width,
        cy=roi.cy + dy * roi.height,
        width=roi.width * (1 + scale),
        height=roi.height * (1 + scale),
        rotation_rad=roi.rotation_rad + turn,
    )


def _input(photo: Photo, roi: Roi) -> NDArray[np.float32]:
    crop = np.multiply(hand_crop(photo, roi), np.float32(1 / 255), dtype=np.float32)
    return crop[np.newaxis]


def detector_samples(
    photo: Photo, detector: Model, _helpers: Mapping[str, Model], _rng: np.random.Generator
) -> PhotoSamples:
    """A photo as the detector's family takes it, and its mirror image."""
    edges = detector_edges(detector)
    views = (photo, np.ascontiguousarray(photo[:, ::-1]))
    found = tuple(detector_input(view, edges=edges) for view in views)
    return PhotoSamples(digest=photo_digest(photo), found=found)


def plain_samples(
    photo: Photo, model: Model, _helpers: Mapping[str, Model], _rng: np.random.Generator
) -> PhotoSamples:
    """A photo stretched to the input of any model that takes one image, 0 to 1.

    Raises:
        TaskError: the model takes something else.
    """
    shapes = [tuple(spec.shape) for spec in model.inputs()]
    fits = len(shapes) == 1 and len(shapes[0]) == 4 and _COLOURS in (shapes[0][1], shapes[0][3])
    if not fits or min(shapes[0]) < 1:
        raise TaskError(f"the model takes {shapes}, not one colour image of a fixed size: name its task")
    first = shapes[0][1] == _COLOURS
    height, width = shapes[0][2:] if first else shapes[0][1:3]
    image = np.multiply(cv2.resize(photo, (width, height)), np.float32(1 / 255), dtype=np.float32)
    ordered = image.transpose(2, 0, 1) if first else image
    return PhotoSamples(digest=photo_digest(photo), found=(np.ascontiguousarray(ordered[np.newaxis]),))


def quantise_task(name: str, /) -> QuantiseTask:
    """Row of a task.

    Raises:
        InferenceError: this task cannot be quantised; names those that can.
    """
    row = QUANTISE_TASKS.get(name)
    if row is None:
        msg = f"task {name!r} cannot be quantised: choose one of {', '.join(QUANTISE_TASKS)}"
        raise InferenceError(msg)
    return row


def sample_photos(
    photos: Iterable[Photo], task: QuantiseTask, /, *, model: Model, helpers: Mapping[str, Model], seed: int
) -> list[PhotoSamples]:
    """Cut the inputs of every photo; each photo has its own generator, so leaving one out changes no other."""
    return [
        task.sample(photo, model, helpers, np.random.default_rng([seed, int(photo_digest(photo)[:8], 16)]))
        for photo in photos
    ]


def sample_shown(
    shown: Iterable[tuple[Photo, ...]],
    task: QuantiseTask,
    /,
    *,
    model: Model,
    helpers: Mapping[str, Model],
    seed: int,
) -> list[PhotoSamples]:
    """Cut the inputs of groups of pictures; each group counts as one photo from here on."""
    groups = (sample_photos(group, task, model=model, helpers=helpers, seed=seed) for group in shown)
    return [_joined(group) for group in groups]


def _joined(group: list[PhotoSamples]) -> PhotoSamples:
    if len(group) == 1:
        return group[0]
    return PhotoSamples(
        digest=hashlib.sha256("".join(part.digest for part in group).encode()).hexdigest(),
        found=tuple(array for part in group for array in part.found),
        empty=tuple(array for part in group for array in part.empty),
    )


QUANTISE_TASKS: dict[str, QuantiseTask] = {
    "hands": QuantiseTask(
        helpers={"palm": "palm_detection_full"},
        rules=(
            # Distances in longer sides of the hand's box, scores in probability.
            OutputRule(
                name="landmarks",
                output=_POINTS,
                kind="points",
                group=3,
                columns=(0, 2),
                only_where=_PRESENCE,
                median=0.015,
                p90=0.035,
            ),
            OutputRule(
                name="landmark_depth",
                output=_POINTS,
                kind="values",
                group=3,
                columns=(2, 3),
                only_where=_PRESENCE,
                median=0.2,
                p90=0.5,
            ),
            OutputRule(name="presence", output=_PRESENCE, kind="score", median=0.02, p90=0.1),
            OutputRule(
                name="handedness",
                output=_HANDEDNESS,
                kind="score",
                only_where=_PRESENCE,
                median=0.02,
                p90=0.1,
            ),
            OutputRule(
                name="world_landmarks",
                output=_WORLD,
                kind="points",
                group=3,
                only_where=_PRESENCE,
                median=0.03,
                p90=0.06,
            ),
        ),
        golden=(4.0, 0.1, 0.1, 0.01),
        sample=hand_samples,
    ),
    # One output; boxes in strides or pixels as the family has it, most of them of no object.
    "detect": QuantiseTask(
        helpers={}, rules=detector_rules(0), golden=(0.1,), sample=detector_samples, max_stem=40
    ),
}

# A model of no known task: its inputs are plain images, its rules are read off its float original's answers.
PLAIN_IMAGES = QuantiseTask(helpers={}, rules=(), golden=(), sample=plain_samples)
