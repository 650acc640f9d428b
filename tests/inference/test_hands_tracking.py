"""The tracker: order of time, ages, motion, and one real video."""

import cv2
import numpy as np
import pytest

from inference.errors import TaskError
from inference.oracle import read_videos
from inference.scoring import tally_image
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


@pytest.fixture(scope="module")
def video(shared_data):
    """The first 60 frames of a real video with reference hands."""
    (reference,) = [
        v
        for v in read_videos(shared_data / "oracle" / "video_tracking.json", folder=shared_data / "video")
        if v.path.name.startswith("mps_")
    ]
    capture = cv2.VideoCapture(str(reference.path))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(60)]
    capture.release()
    return frames, reference


def test_carrying_errs_less_than_repeating_on_a_real_video(video):
    _, reference = video
    errors = {"carried": [], "repeated": []}
    tracker, size = HandTracker(), np.array([reference.width, reference.height])
    for i, hands in enumerate(reference.frames[:-3]):
        at_ns, later_ns = i * 40 * MS, (i + 3) * 40 * MS
        rois = tuple(Roi(cx=h.mean(0)[0], cy=h.mean(0)[1], width=200, height=200) for h in hands)
        results = [
            Hand(landmarks=np.c_[h / size, np.zeros(21)].astype(np.float32), presence=1, handedness=1, roi=r)
            for h, r in zip(hands, rois, strict=True)
        ]
        tracker.update(HandsResult(hands=tuple(results), next_rois=rois), captured_ns=at_ns)
        for name, t in (("repeated", at_ns), ("carried", later_ns)):
            moved = [h.landmarks[:, :2] * size for h in tracker.carry(at_ns=t).hands]
            errors[name] += tally_image(reference.frames[i + 3], moved).distances
    assert len(errors["carried"]) >= len(errors["repeated"]) > 150
    assert np.mean(errors["carried"]) < 0.8 * np.mean(errors["repeated"])


def test_tracking_follows_the_reference_frame_by_frame(video, palm_model, landmark_model):
    frames, reference = video
    task, tracker = HandTask(palm=palm_model, landmark=landmark_model), HandTracker()
    size = np.array([reference.width, reference.height])
    distances = []
    for i, frame in enumerate(frames):
        at_ns = (i + 1) * 40 * MS
        rois = tracker.rois(at_ns=at_ns)
        result = task.run(frame, rois=rois, search=not rois)
        assert tracker.update(result, captured_ns=at_ns)
        tally = tally_image(reference.frames[i], [h.landmarks[:, :2] * size for h in result.hands])
        assert len(tally.distances) == tally.n_reference == tally.n_found
        distances += tally.distances
    assert np.median(distances) <= 0.012
