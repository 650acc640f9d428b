"""What counts as the same answer, and how it adds up over the frames of a run."""

import numpy as np
import pytest

from bench.deadline_agreement import Agreement, agree, compared, measure_agreement
from bench.deadline_frames import Frames
from inference.tasks.hands import Hand, HandsResult
from inference.tasks.roi import Roi

SIZE = (640, 360)
ROI = Roi(cx=320.0, cy=180.0, width=200.0, height=200.0)


def hand(*, right_px: float = 0.0) -> Hand:
    """A hand 200 px high, moved to the right."""
    points = np.zeros((21, 3), np.float32)
    points[:, 0] = (np.linspace(200, 300, 21) + right_px) / SIZE[0]
    points[:, 1] = np.linspace(80, 280, 21) / SIZE[1]
    return Hand(landmarks=points, presence=0.9, handedness=0.9, roi=ROI)


def test_answers_agree_when_they_hold_the_same_hands_within_a_twentieth_of_their_size():
    assert agree((hand(),), (hand(right_px=9),), size=SIZE)
    assert not agree((hand(),), (hand(right_px=11),), size=SIZE)
    assert not agree((), (hand(),), size=SIZE)
    assert not agree((hand(), hand(right_px=250)), (hand(),), size=SIZE)
    assert agree((), (), size=SIZE)


def test_a_hand_that_turns_back_is_carried_the_worse_the_older_the_answer_is():
    places = [8.0 * (k % 12 if k % 24 < 12 else 12 - k % 12) for k in range(96)]
    seen = [HandsResult(hands=(hand(right_px=x),), next_rois=(ROI,)) for x in places]
    found = compared(seen, seen, worker=seen, size=SIZE)
    assert found.worker == found.int8 == found.carried[0] == 1.0
    assert found.int8_p90_apart == 0.0
    assert found.carried[1] > found.carried[4] > found.carried[8]


def test_what_the_worker_and_the_own_model_say_is_held_against_the_reference_each_for_itself():
    reference = [HandsResult(hands=(hand(),), next_rois=(ROI,))] * 20
    off = [HandsResult(hands=(hand(right_px=11),), next_rois=(ROI,))] * 20
    found = compared(reference, reference, worker=off[:5] + reference[5:], size=SIZE)
    assert (found.worker, found.int8, found.carried[1]) == (0.75, 1.0, 1.0)
    found = compared(reference, off, worker=reference, size=SIZE)
    assert (found.worker, found.int8, found.carried[1]) == (1.0, 0.0, 0.0)


def test_a_run_agrees_as_much_as_its_answers_do():
    columns = {name: np.zeros(4) for name in Frames.__slots__}
    columns["hit"] = np.array([1.0, 1.0, 0.0, 0.0])
    columns["by_worker"] = np.array([1.0, 0.0, 0.0, 0.0])
    columns["carried"] = np.array([0.0, 0.0, 1.0, 0.0])
    columns["age_ms"] = np.array([20.0, 20.0, 50.0, np.nan])
    agreement = Agreement(
        worker=0.95, worker_p90_apart=0.0, int8=0.9, int8_p90_apart=0.0, carried=(1.0, 0.8, 0.6), frames=9
    )
    assert agreement.of(Frames(**columns)) == pytest.approx((0.95 + 0.9 + 0.7 + 0.0) / 4)


def test_without_the_video_nothing_is_claimed(tmp_path):
    assert measure_agreement(video=tmp_path / "none.mp4") is None
