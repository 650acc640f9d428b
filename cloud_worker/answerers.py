"""Core: what answers a task. One instance belongs to one slot, because a model belongs to one thread.

The interface is two methods; tasks are rows of the dict that ``main`` builds out of these classes. Nothing
here knows of topics, queues or threads.
"""

from collections.abc import Callable
from typing import Protocol

from cloud_worker.errors import CannotAnswerError
from cloud_worker.images import decode_image
from cloud_worker.request import Answer, Request
from inference.runtimes.base import Model
from inference.split.part_payload import NOTHING, PartPayload
from inference.tasks.hands import Hand, HandsConfig, HandTask
from inference.tasks.roi import Roi
from schemas.messages import Frame, HandResult, PartCoding, RefusalReason, RoiBox


class Answerer(Protocol):
    """Answers the requests of one task, one at a time."""

    def answer(self, request: Request, /) -> Answer:
        """Compute the answer.

        Raises:
            CannotAnswerError: this request has none; anything else that is raised counts as INTERNAL.
        """
        ...

    def close(self) -> None:
        """Release models. Idempotent."""
        ...


class HandsAnswerer:
    """Hands in a frame: decode, track the given regions, look for palms where there is room."""

    def __init__(
        self,
        *,
        palm: Model,
        landmark: Model,
        model_digest: bytes,
        max_pixels: int,
        clock_ns: Callable[[], int],
        config: HandsConfig | None = None,
    ) -> None:
        self._models = (palm, landmark)
        self._task = HandTask(palm=palm, landmark=landmark, config=config, clock_ns=clock_ns)
        self._model_digest = model_digest
        self._max_pixels = max_pixels
        self._clock_ns = clock_ns

    def answer(self, request: Request, /) -> Answer:
        """Find hands in the request's frame.

        Raises:
            CannotAnswerError: the image cannot be decoded or is too large.
        """
        frame = request.message
        if not isinstance(frame, Frame):
            raise CannotAnswerError(RefusalReason.UNSUPPORTED_TASK, "hands are found in a Frame: send one")
        started_ns = self._clock_ns()
        image = decode_image(frame, max_pixels=self._max_pixels)
        decoded_ns = self._clock_ns()
        height, width = image.shape[:2]
        rois = [roi_of(box, width=width, height=height) for box in frame.rois]
        found = self._task.run(image, rois=rois)
        return Answer(
            model_digest=self._model_digest,
            decode_ns=decoded_ns - started_ns,
            run_ns=self._clock_ns() - decoded_ns,
            hands=tuple(_hand_result(hand, width=width, height=height) for hand in found.hands),
            next_rois=tuple(box_of(roi, width=width, height=height) for roi in found.next_rois),
        )

    def close(self) -> None:
        """Release both models."""
        for model in self._models:
            model.close()


class NullAnswerer:
    """Answers at once with ``reply_bytes`` of zeros, to measure everything around inference."""

    def __init__(self, *, reply_bytes: int) -> None:
        zeros = PartPayload(subjects=1, coding=PartCoding.RAW, payload=bytes(reply_bytes))
        self._answer = Answer(part=zeros if reply_bytes else NOTHING)

    def answer(self, _request: Request, /) -> Answer:
        """The same answer for every request."""
        return self._answer

    def close(self) -> None:
        """Nothing is held."""


def roi_of(box: RoiBox, /, *, width: int, height: int) -> Roi:
    """A message's box (fractions of the frame) as a region in pixels."""
    return Roi(
        cx=box.center_x * width,
        cy=box.center_y * height,
        width=box.width * width,
        height=box.height * height,
        rotation_rad=box.rotation_rad,
    )


def box_of(roi: Roi, /, *, width: int, height: int) -> RoiBox:
    """A region in pixels as a message's box (fractions of the frame)."""
    return RoiBox(
        center_x=roi.cx / width,
        center_y=roi.cy / height,
        width=roi.width / width,
        height=roi.height / height,
        rotation_rad=roi.rotation_rad,
    )


def _hand_result(hand: Hand, /, *, width: int, height: int) -> HandResult:
    return HandResult(
        landmarks=hand.landmarks,
        presence=hand.presence,
        handedness=hand.handedness,
        roi=box_of(hand.roi, width=width, height=height),
    )
