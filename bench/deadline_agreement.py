"""How often an answer says what the full float model says of the same frame: a worker's, the int8 model's, older ones.

Measured on a video of a hand, with the real models and the real tracker. The reference is the float model in tracking
mode on the raw picture. A worker runs that model on the JPEG that the headset sends; what is carried are the int8
model's answers moved on, which is the least that a carried answer is worth. Two answers agree when they hold the same
hands, each within a twentieth of its size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.deadline_frames import Column, Frames
from bench.deadline_traces import REPOSITORY
from bench.parity_subjects import model_files
from inference.evaluation.scoring import Match, match_hands
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import Hand, HandsResult, HandTask
from inference.tasks.tracking import HandTracker
from schemas.documents import SplitConfig
from schemas.places import cache_dir

VIDEO = REPOSITORY.parent / "shared" / "data" / "video" / "mps_hand_landmarker_test_video.mp4"
LANDMARK, PALM = "hand_landmark_full", "palm_detection_full"
NEAR = 0.05  # of the hand's longer side
QUALITY = SplitConfig().jpeg_quality
FPS = 30.0
MOST_AGE = 12  # frames; older than that the tracker holds nothing
NS_PER_S = 1e9
RGB = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Shares of frames. ``carried`` is by age in frames, from 0 on."""

    worker: float
    worker_p90_apart: float  # of hands in both, in the longer side of the hand's box
    int8: float
    int8_p90_apart: float
    carried: tuple[float, ...]
    frames: int

    def of(self, frames: Frames) -> float:
        """Of all frames of a run: each kind of answer by its share, those without an answer in time agree never."""
        ages = np.nan_to_num(frames.age_ms) * FPS / 1000
        known = np.append(np.asarray(self.carried), 0.0)
        by_age: Column = np.interp(ages, np.arange(len(known)), known)
        local = frames.hit - frames.by_worker
        fresh = self.worker * frames.by_worker.sum() + self.int8 * local.sum()
        return float((fresh + (by_age * frames.carried).sum()) / len(frames.hit))

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON."""
        ages = {f"{1000 * age / FPS:.0f}": round(share, 4) for age, share in enumerate(self.carried)}
        return {
            "near": NEAR,
            "jpeg_quality": QUALITY,
            "worker": round(self.worker, 4),
            "worker_p90_apart": round(self.worker_p90_apart, 4),
            "int8": round(self.int8, 4),
            "int8_p90_apart": round(self.int8_p90_apart, 4),
            "carried_by_age_ms": ages,
            "frames": self.frames,
        }


def measure_agreement(
    *, video: Path = VIDEO, frames: int = 202, progress: Callable[[str], None] = print
) -> Agreement | None:
    """Watch the video with both models; None where it is not on this machine."""
    if not video.is_file():
        return None
    made = cache_dir(os.environ) / "bench"
    made.mkdir(parents=True, exist_ok=True)
    files = {path.stem: path for path in model_files(made=made, packages=made, tell=progress)}
    progress("what the models say of a video")
    runtime = open_runtime("litert")
    with (
        closing(runtime.load(_palm(), threads=1)) as palm,
        closing(runtime.load(files[LANDMARK], threads=1)) as floats,
        closing(runtime.load(files[f"{LANDMARK}_int8"], threads=1)) as small,
    ):
        pictures = _pictures(video, most=frames)
        full = HandTask(palm=palm, landmark=floats)
        reference = _watched(pictures, full)
        worker = _watched([_as_sent(picture) for picture in pictures], full)
        own = _watched(pictures, HandTask(palm=palm, landmark=small))
    size = (pictures[0].shape[1], pictures[0].shape[0])
    return compared(reference, own, worker=worker, size=size)


def compared(
    reference: Sequence[HandsResult],
    own: Sequence[HandsResult],
    *,
    worker: Sequence[HandsResult],
    size: tuple[int, int],
) -> Agreement:
    """Shares of frames in which these say the same; ``size`` is that of the pictures in pixels."""
    worker_alike, worker_apart = _alike(worker, reference, size=size)
    int8_alike, int8_apart = _alike(own, reference, size=size)
    return Agreement(
        worker=worker_alike,
        worker_p90_apart=worker_apart,
        int8=int8_alike,
        int8_p90_apart=int8_apart,
        carried=tuple(_carried_alike(own, reference, age=age, size=size) for age in range(MOST_AGE + 1)),
        frames=len(reference),
    )


def _alike(
    found: Sequence[HandsResult], reference: Sequence[HandsResult], *, size: tuple[int, int]
) -> tuple[float, float]:
    """The share of frames that agree, and how far apart nine of ten hands are at most."""
    pairs = [(ours.hands, theirs.hands) for ours, theirs in zip(found, reference, strict=True)]
    apart = [match.distance for ours, theirs in pairs for match in _matches(ours, theirs, size=size)]
    share = float(np.mean([agree(ours, theirs, size=size) for ours, theirs in pairs]))
    return share, float(np.quantile(apart, 0.9)) if apart else float("nan")


def agree(ours: Sequence[Hand], theirs: Sequence[Hand], *, size: tuple[int, int]) -> bool:
    """Whether two answers hold the same hands."""
    matches = _matches(ours, theirs, size=size)
    alike = len(matches) == len(ours) == len(theirs)
    return alike and all(match.distance <= NEAR for match in matches)


def _matches(ours: Sequence[Hand], theirs: Sequence[Hand], *, size: tuple[int, int]) -> list[Match]:
    found, reference = (
        [hand.landmarks[:, :2].astype(np.float64) * np.array(size) for hand in hands]
        for hands in (ours, theirs)
    )
    return match_hands(reference, found)


def _carried_alike(
    own: Sequence[HandsResult], reference: Sequence[HandsResult], *, age: int, size: tuple[int, int]
) -> float:
    """How often an own answer that was moved on by so many frames says what the reference says of the frame."""
    tracker, alike = HandTracker(), []
    for number in range(len(reference) - age):
        tracker.update(own[number], captured_ns=_at_ns(number))
        carried = tracker.carry(at_ns=_at_ns(number + age))
        if carried is not None:
            alike.append(agree(carried.hands, reference[number + age].hands, size=size))
    return float(np.mean(alike)) if alike else 0.0


def _at_ns(number: int) -> int:
    return round((number + 1) * NS_PER_S / FPS)


def _palm() -> Path:
    return cache_dir(os.environ) / "models" / f"{PALM}.tflite"


def _pictures(video: Path, *, most: int) -> list[RGB]:
    capture = cv2.VideoCapture(str(video))
    pictures: list[RGB] = []
    try:
        while len(pictures) < most:
            read, picture = capture.read()
            if not read:
                break
            pictures.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    finally:
        capture.release()
    return pictures


def _as_sent(picture: RGB) -> RGB:
    """What a worker sees of a picture: it went as JPEG, of its own size, which is not above that of pictures sent."""
    good, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    if not good:
        raise ValueError(f"OpenCV cannot encode a picture of {picture.shape} as JPEG: check its build")
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _watched(pictures: Sequence[RGB], task: HandTask) -> list[HandsResult]:
    """Every frame's answer in tracking mode."""
    tracker, results = HandTracker(), []
    for number, picture in enumerate(pictures):
        at_ns = _at_ns(number)
        result = task.run(picture, rois=tracker.rois(at_ns=at_ns))
        tracker.update(result, captured_ns=at_ns)
        results.append(result)
    return results
