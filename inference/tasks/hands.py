"""The hand task: a frame in, hands out. Stateless: regions come in, the regions for the next frame go out.

The palm detector runs only while fewer hands than ``max_hands`` are tracked. Whoever keeps regions between
frames (``inference.tasks.tracking``) lives on the headset, so that any worker may take any frame.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.errors import TaskError
from inference.runtimes.base import Model
from inference.tasks.landmark import (
    RawLandmarks,
    check_landmark_model,
    hand_crop,
    project_landmarks,
    run_landmarks,
)
from inference.tasks.palm import check_palm_model, detect_palms
from inference.tasks.roi import Roi, associate, roi_from_landmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class HandsConfig:
    """Thresholds of MediaPipe's hand graph: scores 0 to 1, overlaps as intersection over union."""

    max_hands: int = 2
    palm_score: float = 0.5
    presence: float = 0.5
    nms_iou: float = 0.3
    association_iou: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.palm_score, self.presence, self.nms_iou, self.association_iou)
        if self.max_hands < 1 or not all(0 <= share <= 1 for share in shares):
            raise TaskError(f"{self} cannot find hands: max_hands is at least 1, all others are 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hand:
    """One hand.

    ``landmarks``: (21, 3) float32; x and y are fractions of the frame's width and height, z is relative to
    the wrist in the scale of x (MediaPipe's convention). ``presence``: probability of a hand, 0 to 1.
    ``handedness``: the model's probability of a left hand, taking the picture for a mirrored (selfie) one;
    where it is not mirrored the true hand is the other one. ``roi``: where it was looked for.
    """

    landmarks: NDArray[np.float32]
    presence: float
    handedness: float
    roi: Roi

    @property
    def label(self) -> str:
        """``Left`` or ``Right`` in MediaPipe's mirrored convention."""
        return "Left" if self.handedness > 0.5 else "Right"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandsResult:
    """What one frame showed.

    ``next_rois`` has one region per hand, in its order, in pixels of the frame; TaskError where it has not. ``rejected`` counts regions that held no hand; ``timings_ns`` has the stages ``palm`` and ``landmark``.
    """

    hands: tuple[Hand, ...] = ()
    next_rois: tuple[Roi, ...] = ()
    palm_ran: bool = False
    rejected: int = 0
    timings_ns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.hands) != len(self.next_rois):
            raise TaskError(
                f"a result of {len(self.hands)} hands has {len(self.next_rois)} next regions: drop it, "
                f"its sender is broken"
            )


class HandTask:
    """Finds hands with a palm detector (None: only in given regions) and a landmark model.

    Raises:
        TaskError: a model's inputs or outputs are not those of a palm or hand landmark model.
    """

    def __init__(
        self,
        *,
        palm: Model | None,
        landmark: Model,
        config: HandsConfig | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        check_landmark_model(landmark)
        if palm is not None:
            check_palm_model(palm)
        self._palm = palm
        self._landmark = landmark
        self._config = config or HandsConfig()
        self._clock_ns = clock_ns

    @property
    def landmark(self) -> Model:
        """The landmark model; whoever runs it shares the task's thread."""
        return self._landmark

    def run(
        self, image_rgb: NDArray[np.uint8], *, rois: Sequence[Roi] = (), search: bool = True
    ) -> HandsResult:
        """Find hands in an image (H, W, 3) RGB; ``rois`` are regions in its pixels to look in first.

        Without ``search`` the palm detector is left out even while hands are missing: a headset short of
        time looks for new hands only in some of its frames.

        Raises:
            TaskError: the image is not uint8 of shape (H, W, 3).
        """
        started_ns = self._clock_ns()
        regions, searched = self.where(image_rgb, rois=rois, search=search)
        found_ns = self._clock_ns()
        seen = [self.look(image_rgb, roi) for roi in regions]
        height, width = image_rgb.shape[:2]
        timings_ns = {"palm": found_ns - started_ns, "landmark": self._clock_ns() - found_ns}
        return self.result(seen, width=width, height=height, palm_ran=searched, timings_ns=timings_ns)

    def where(
        self, image_rgb: NDArray[np.uint8], *, rois: Sequence[Roi] = (), search: bool = True
    ) -> tuple[list[Roi], bool]:
        """The regions of an image to look in, and whether palms were searched for.

        Raises:
            TaskError: the image is not uint8 of shape (H, W, 3).
        """
        check_image(image_rgb)
        searching = search and self._palm is not None and len(rois) < self._config.max_hands
        regions = self.regions(image_rgb, rois=rois) if searching else list(rois[: self._config.max_hands])
        return regions, searching

    @staticmethod
    def result(
        seen: Sequence[Hand | None], *, width: int, height: int, palm_ran: bool, timings_ns: dict[str, int]
    ) -> HandsResult:
        """What was seen in each region of a frame of this size as the frame's result."""
        hands = tuple(hand for hand in seen if hand is not None)
        return HandsResult(
            hands=hands,
            next_rois=tuple(next_roi(hand, width=width, height=height) for hand in hands),
            palm_ran=palm_ran,
            rejected=len(seen) - len(hands),
            timings_ns=timings_ns,
        )

    def regions(self, image_rgb: NDArray[np.uint8], *, rois: Sequence[Roi] = ()) -> list[Roi]:
        """The regions to look in: the tracked ones, then new palms while there is room."""
        config = self._config
        if self._palm is None or len(rois) >= config.max_hands:
            return list(rois[: config.max_hands])
        palms = detect_palms(image_rgb, model=self._palm, min_score=config.palm_score, nms_iou=config.nms_iou)
        found = [palm.roi() for palm in palms[: config.max_hands]]
        return associate(found=found, tracked=rois, min_iou=config.association_iou)[: config.max_hands]

    def look(self, image_rgb: NDArray[np.uint8], roi: Roi) -> Hand | None:
        """The hand in one region, or None where the model sees none or does not answer in numbers."""
        raw = run_landmarks(hand_crop(image_rgb, roi), model=self._landmark)
        height, width = image_rgb.shape[:2]
        return self.judge(raw, roi, width=width, height=height)

    def judge(self, raw: RawLandmarks, roi: Roi, *, width: int, height: int) -> Hand | None:
        """The hand that the model's words on one region of a frame of this size mean, or None."""
        if not (raw.presence > self._config.presence and np.isfinite(raw.points).all()):
            return None
        scale = np.array([width, height, width], dtype=np.float32)
        return Hand(
            landmarks=project_landmarks(raw.points, roi) / scale,
            presence=raw.presence,
            handedness=raw.handedness,
            roi=roi,
        )


def check_image(image: NDArray[np.generic]) -> None:
    """Refuse what is not an 8-bit RGB image, before OpenCV fails with a text that helps nobody.

    Raises:
        TaskError: says what came and what is expected.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise TaskError(
            f"image has shape {image.shape} and dtype {image.dtype}: pass uint8 pixels (height, width, 3), RGB"
        )


def next_roi(hand: Hand, *, width: int, height: int) -> Roi:
    """Where to look for a hand in the next frame of the same size in pixels."""
    return roi_from_landmarks(hand.landmarks[:, :2] * np.array([width, height], dtype=np.float32))
