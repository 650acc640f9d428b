"""The tracker: order of time, ages, motion, and a real hand that moves; a real video is in test_reference_data."""

import cv2
import numpy as np
import pytest

from inference.errors import TaskError
from inference.evaluation.scoring import hand_distance
from inference.quantize.photo_sources import read_photo
from inference.tasks.hands import Hand, HandsResult, HandTask
from inference.tasks.roi import Roi
from inference.tasks.tracking import HandTracker, TrackerConfig

MS = 1_000_000


def seen(*centres, size=50.0):
    """A result with a hand at each centre (pixels of a 1000 x 1000 frame)."""
    rois = tuple(Roi(cx=x, cy=y, width=size, height=size) for x, y in centres)
    hands = tuple(
        Hand(
            landmarks=np.tile(np.array([r.cx, r.cy, 5], dtype=np.float32) / 1000, (21, 1)),
            presence=0.9,
            handedness=0.9,
            roi=r,
        )
        for r in rois
    )
    return HandsResult(hands=hands, next_rois=rois)


def test_a_new_tracker_knows_nothing():
    tracker = HandTracker()
    assert tracker.rois(at_ns=0) == ()
    assert tracker.carry(at_ns=0) is None


def test_the_next_frame_looks_exactly_where_the_result_says():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(seen((110, 100)), captured_ns=33 * MS)
    assert tracker.rois(at_ns=66 * MS) == seen((110, 100)).next_rois


def test_after_a_gap_regions_move_on_with_the_hand():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(seen((110, 104)), captured_ns=40 * MS)
    (roi,) = tracker.rois(at_ns=120 * MS)
    assert (roi.cx, roi.cy) == pytest.approx((130, 112))


def test_an_old_answer_is_carried_forward_and_says_its_age():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(seen((110, 104)), captured_ns=40 * MS)
    carried = tracker.carry(at_ns=80 * MS)
    assert carried.age_ns == 40 * MS
    assert carried.captured_ns == 40 * MS
    assert carried.hands[0].landmarks[7] == pytest.approx([0.120, 0.108, 0.005])


def test_a_hand_stops_after_the_longest_motion_instead_of_flying_off():
    tracker = HandTracker(config=TrackerConfig(max_motion_ns=100 * MS, max_age_ns=500 * MS))
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(seen((110, 100)), captured_ns=40 * MS)
    at_limit, later = tracker.carry(at_ns=140 * MS), tracker.carry(at_ns=400 * MS)
    assert (later.hands[0].landmarks == at_limit.hands[0].landmarks).all()
    assert later.age_ns == 360 * MS


def test_what_is_too_old_is_not_carried():
    tracker = HandTracker(config=TrackerConfig(max_age_ns=500 * MS))
    tracker.update(seen((100, 100)), captured_ns=0)
    assert tracker.carry(at_ns=500 * MS) is not None
    assert tracker.carry(at_ns=501 * MS) is None
    assert tracker.rois(at_ns=501 * MS) == ()


def test_a_late_older_result_changes_nothing():
    tracker = HandTracker()
    assert tracker.update(seen((110, 100)), captured_ns=40 * MS)
    assert not tracker.update(seen((500, 500)), captured_ns=10 * MS)
    assert tracker.rois(at_ns=41 * MS) == seen((110, 100)).next_rois


def test_an_empty_result_is_an_answer_too():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(HandsResult(), captured_ns=40 * MS)
    assert tracker.rois(at_ns=41 * MS) == ()
    assert tracker.carry(at_ns=41 * MS).hands == ()


def test_each_hand_keeps_its_own_speed_when_the_order_changes():
    tracker = HandTracker()
    tracker.update(seen((100, 100), (800, 800)), captured_ns=0)
    tracker.update(seen((800, 790), (110, 100)), captured_ns=40 * MS)
    carried = tracker.carry(at_ns=80 * MS)
    assert [tuple(h.landmarks[0, :2]) for h in carried.hands] == [
        pytest.approx((0.8, 0.78)),
        pytest.approx((0.12, 0.1)),
    ]


def test_a_hand_that_appears_elsewhere_starts_at_rest():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=0)
    tracker.update(seen((700, 700)), captured_ns=40 * MS)
    assert tracker.carry(at_ns=80 * MS).hands[0].landmarks[0, :2] == pytest.approx([0.7, 0.7])


def test_a_result_whose_regions_do_not_belong_to_its_hands_is_refused():
    with pytest.raises(TaskError, match="1 hands has 0 next regions"):
        HandsResult(hands=seen((1, 1)).hands)


def test_forgetting_leaves_nothing():
    tracker = HandTracker()
    tracker.update(seen((100, 100)), captured_ns=10 * MS)
    tracker.forget()
    assert tracker.carry(at_ns=10 * MS) is None
    assert tracker.update(seen((1, 1)), captured_ns=5 * MS)


def test_tracking_follows_a_photo_that_is_moved_without_another_search(
    hand_photos, palm_model, landmark_model
):
    photo = read_photo(hand_photos["handSrc.jpg"])
    task, tracker = HandTask(palm=palm_model, landmark=landmark_model), HandTracker()
    size, step, first = np.array([photo.shape[1], photo.shape[0]]), np.array([6, -4]), None
    for i in range(12):
        by = np.float32([[1, 0, i * step[0]], [0, 1, i * step[1]]])
        frame = cv2.warpAffine(photo, by, (photo.shape[1], photo.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        at_ns = (i + 1) * 40 * MS
        rois = tracker.rois(at_ns=at_ns)
        result = task.run(frame, rois=rois, search=not rois)
        assert result.palm_ran == (i == 0)
        assert tracker.update(result, captured_ns=at_ns)
        (hand,) = result.hands
        first = hand.landmarks[:, :2] * size if first is None else first
        assert hand_distance(first + i * step, hand.landmarks[:, :2] * size) < 0.025
