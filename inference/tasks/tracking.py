"""Pure core: what a headset remembers of hands between frames, and how it moves old answers forward.

Holds the newest result and how fast each of its hands moved. It gives the regions to look in next and,
when a frame has no answer of its own, the last hands carried to that frame's time with their age stated.
A late result older than the held one changes nothing. Times are the headset's monotonic nanoseconds,
passed in; nothing here reads a clock.
"""

from dataclasses import dataclass, replace

import numpy as np

from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi, iou


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Limits of memory.

    ``max_age_ns``: a result older than this is forgotten. ``max_motion_ns``: a hand is moved forward for at
    most this long and then stays, because people stop and turn: on real videos going on errs more than
    standing still beyond about five frames. ``max_still_ns``: regions younger than this are used where they
    are, as MediaPipe does; they are twice as wide as the hand. ``same_hand_iou``: regions of two results that overlap less are
    not the same hand.
    """

    max_age_ns: int = 500_000_000
    max_motion_ns: int = 100_000_000
    max_still_ns: int = 60_000_000
    same_hand_iou: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """An older result moved forward: its hands, when their pixels were captured and how old that is."""

    hands: tuple[Hand, ...]
    captured_ns: int
    age_ns: int


Speed = tuple[float, float]


@dataclass(slots=True, kw_only=True, eq=False)
class _Track:
    """One hand; its speed per nanosecond in x and y, landmarks in frame fractions and region in pixels."""

    hand: Hand
    roi: Roi
    landmark_speed: Speed = (0.0, 0.0)
    roi_speed: Speed = (0.0, 0.0)


class HandTracker:
    """Memory of one camera's hands. Belongs to one thread."""

    def __init__(self, *, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._tracks: tuple[_Track, ...] = ()
        self._captured_ns: int | None = None

    def update(self, result: HandsResult, *, captured_ns: int) -> bool:
        """Take in a result; False and no change where it is not newer than the held one."""
        if self._captured_ns is not None and captured_ns <= self._captured_ns:
            return False
        known = self._tracks if self._is_fresh(captured_ns) else ()
        gap_ns = captured_ns - (self._captured_ns or 0)
        pairs = zip(result.hands, result.next_rois, strict=True)
        self._tracks = tuple(self._followed(hand, roi, known, gap_ns) for hand, roi in pairs)
        self._captured_ns = captured_ns
        return True

    def rois(self, *, at_ns: int) -> tuple[Roi, ...]:
        """Regions, in pixels of the last frame, to look in for a frame captured at ``at_ns``."""
        if not self._is_fresh(at_ns):
            return ()
        motion_ns = self._motion_ns(at_ns)
        if motion_ns <= self._config.max_still_ns:
            return tuple(track.roi for track in self._tracks)
        return tuple(
            track.roi.moved(dx=track.roi_speed[0] * motion_ns, dy=track.roi_speed[1] * motion_ns)
            for track in self._tracks
        )

    def carry(self, *, at_ns: int) -> Carried | None:
        """The last hands moved to ``at_ns``, or None where nothing is fresh enough to be moved."""
        if self._captured_ns is None or not self._is_fresh(at_ns):
            return None
        motion_ns = self._motion_ns(at_ns)
        hands = tuple(_moved(track, motion_ns) for track in self._tracks)
        return Carried(hands=hands, captured_ns=self._captured_ns, age_ns=at_ns - self._captured_ns)

    def forget(self) -> None:
        """Drop everything, for example when the camera changed."""
        self._tracks = ()
        self._captured_ns = None

    def _is_fresh(self, at_ns: int) -> bool:
        return self._captured_ns is not None and at_ns - self._captured_ns <= self._config.max_age_ns

    def _motion_ns(self, at_ns: int) -> int:
        age_ns = at_ns - (self._captured_ns or 0)
        return max(0, min(age_ns, self._config.max_motion_ns))

    def _followed(self, hand: Hand, roi: Roi, known: tuple[_Track, ...], gap_ns: int) -> _Track:
        """A track of this hand with the speed it had since its nearest predecessor, else at rest."""
        overlap, before = max(
            ((iou(track.roi, roi), track) for track in known), key=_overlap, default=(0.0, None)
        )
        if before is None or overlap < self._config.same_hand_iou:
            return _Track(hand=hand, roi=roi)
        # One speed for all landmarks: per-landmark speeds amplify the model's jitter (measured worse).
        way = hand.landmarks[:, :2] - before.hand.landmarks[:, :2]
        # as .mean() does it, in a third of the time
        x, y = np.add.reduce(way, axis=0, dtype=np.float64).tolist()
        per_ns = len(way) * gap_ns
        return _Track(
            hand=hand,
            roi=roi,
            landmark_speed=(x / per_ns, y / per_ns),
            roi_speed=((roi.cx - before.roi.cx) / gap_ns, (roi.cy - before.roi.cy) / gap_ns),
        )


def _overlap(pair: tuple[float, _Track]) -> float:
    return pair[0]


def _moved(track: _Track, motion_ns: int) -> Hand:
    """The hand where it is after so long."""
    hand, (x, y) = track.hand, track.landmark_speed
    move = np.array([x * motion_ns, y * motion_ns, 0.0], dtype=np.float32)
    return replace(hand, landmarks=hand.landmarks + move)
