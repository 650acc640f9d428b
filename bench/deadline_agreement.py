"""How often an answer says what the full float model says of the same frame: the int8 model's, and older ones moved on.

Measured on a video of a hand, with the real models and the real tracker. The reference is the float model in tracking
mode, so it agrees with itself always; a worker runs that model. Two answers agree when they hold the same hands, each
within a twentieth of its size.
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
from schemas.places import cache_dir

VIDEO = REPOSITORY.parent / "shared" / "data" / "video" / "mps_hand_landmarker_test_video.mp4"
LANDMARK, PALM = "hand_landmark_full", "palm_detection_full"
NEAR = 0.05  # of the hand's longer side
FPS = 30.0
MOST_AGE = 12  # frames; older than that the tracker holds nothing
NS_PER_S = 1e9
RGB = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Shares of frames. ``carried`` is by age in frames, from 0 on."""

    int8: float
    int8_p90_apart: float  # of hands in both, in the longer side of the hand's box
    carried: tuple[float, ...]
    frames: int

    def of(self, frames: Frames) -> float:
        """Of all frames of a run: those of the worker agree, those without an answer in time do not."""
        ages = np.nan_to_num(frames.age_ms) * FPS / 1000
        known = np.append(np.asarray(self.carried), 0.0)
        by_age: Column = np.interp(ages, np.arange(len(known)), known)
        local = frames.hit - frames.by_worker
        total = frames.by_worker.sum() + self.int8 * local.sum() + (by_age * frames.carried).sum()
        return float(total / len(frames.hit))

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON."""
        ages = {f"{1000 * age / FPS:.0f}": round(share, 4) for age, share in enumerate(self.carried)}
        return {
            "near": NEAR,
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
        reference = _watched(pictures, HandTask(palm=palm, landmark=floats))
        own = _watched(pictures, HandTask(palm=palm, landmark=small))
    size = (pictures[0].shape[1], pictures[0].shape[0])
    return compared(reference, own, size=size)


def compared(
    reference: Sequence[HandsResult], own: Sequence[HandsResult], *, size: tuple[int, int]
) -> Agreement:
    """Shares of frames in which these say the same; ``size`` is that of the pictures in pixels."""
    pairs = [(ours.hands, theirs.hands) for ours, theirs in zip(own, reference, strict=True)]
    apart = [match.distance for ours, theirs in pairs for match in _matches(ours, theirs, size=size)]
    return Agreement(
        int8=float(np.mean([agree(ours, theirs, size=size) for ours, theirs in pairs])),
        int8_p90_apart=float(np.quantile(apart, 0.9)) if apart else float("nan"),
        carried=tuple(_carried_alike(reference, age=age, size=size) for age in range(MOST_AGE + 1)),
        frames=len(reference),
    )


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


def _carried_alike(reference: Sequence[HandsResult], *, age: int, size: tuple[int, int]) -> float:
    """How often an answer that was moved on by so many frames says what the frame's own says."""
    tracker, alike = HandTracker(), []
    for number in range(len(reference) - age):
        tracker.update(reference[number], captured_ns=_at_ns(number))
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


def _watched(pictures: Sequence[RGB], task: HandTask) -> list[HandsResult]:
    """Every frame's answer in tracking mode."""
    tracker, results = HandTracker(), []
    for number, picture in enumerate(pictures):
        at_ns = _at_ns(number)
        result = task.run(picture, rois=tracker.rois(at_ns=at_ns))
        tracker.update(result, captured_ns=at_ns)
        results.append(result)
    return results
