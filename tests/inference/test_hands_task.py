"""The hand task on real photos: hands found, tracked, rejected; against MediaPipe itself in test_reference_data."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from inference.errors import TaskError
from inference.evaluation.scoring import hand_distance
from inference.quantize.photo_sources import read_photo
from inference.runtimes.base import TensorSpec
from inference.tasks.hands import HandsConfig, HandTask
from inference.tasks.landmark import decode_landmarks
from inference.tasks.roi import Roi


@pytest.fixture(scope="module")
def task(palm_model, landmark_model):
    return HandTask(palm=palm_model, landmark=landmark_model)


@pytest.fixture(scope="module")
def two_hands(hand_photos):
    """A real hand and, beside it, its mirror image."""
    photo = read_photo(hand_photos["handSrc.jpg"])
    return np.ascontiguousarray(np.hstack([photo, photo[:, ::-1]]))


def test_a_hand_and_its_mirror_image_are_a_right_and_a_left_one(task, two_hands):
    right, left = sorted(task.run(two_hands).hands, key=lambda hand: hand.landmarks[:, 0].mean())
    assert (right.label, left.label) == ("Right", "Left")
    mirrored = left.landmarks * np.array([-1, 1, 1], dtype=np.float32) + np.array([1, 0, 0], dtype=np.float32)
    assert hand_distance(right.landmarks, mirrored) < 0.02


def test_both_hands_of_a_photo_are_found_and_timed(task, two_hands):
    result = task.run(two_hands)
    assert len(result.hands) == len(result.next_rois) == 2
    assert result.palm_ran
    assert set(result.timings_ns) == {"palm", "landmark"}
    assert min(result.timings_ns.values()) > 0
    assert all(
        hand.landmarks.shape == (21, 3) and hand.landmarks.dtype == np.float32 for hand in result.hands
    )


def test_the_palm_detector_rests_while_enough_hands_are_tracked(task, two_hands):
    rois = task.run(two_hands).next_rois
    tracked = task.run(two_hands, rois=rois)
    assert not tracked.palm_ran
    assert len(tracked.hands) == 2
    assert task.run(two_hands, rois=rois[:1]).palm_ran
    assert len(task.run(two_hands, rois=rois[:1]).hands) == 2


def test_without_search_only_given_regions_are_looked_at(task, two_hands):
    rois = task.run(two_hands).next_rois
    result = task.run(two_hands, rois=rois[:1], search=False)
    assert not result.palm_ran
    assert len(result.hands) == 1


def test_a_worker_without_palm_detector_answers_in_the_given_regions(landmark_model, task, two_hands):
    rois = task.run(two_hands).next_rois
    worker = HandTask(palm=None, landmark=landmark_model)
    assert worker.run(two_hands).hands == ()
    here, there = task.run(two_hands, rois=rois), worker.run(two_hands, rois=rois)
    assert [h.landmarks.tobytes() for h in here.hands] == [h.landmarks.tobytes() for h in there.hands]


def test_the_task_keeps_nothing_between_frames(task, two_hands, hand_photos):
    first = task.run(two_hands)
    task.run(read_photo(hand_photos["right04.jpg"]))
    second = task.run(two_hands)
    assert [h.landmarks.tobytes() for h in first.hands] == [h.landmarks.tobytes() for h in second.hands]


def test_a_region_without_a_hand_is_rejected(task, two_hands):
    result = task.run(two_hands, rois=[Roi(cx=20, cy=20, width=30, height=30)], search=False)
    assert result.hands == result.next_rois == ()
    assert result.rejected == 1


def test_no_more_hands_than_asked_for(palm_model, landmark_model, two_hands):
    one = HandTask(palm=palm_model, landmark=landmark_model, config=HandsConfig(max_hands=1))
    assert len(one.run(two_hands).hands) == 1


@pytest.mark.parametrize("wrong", [{"max_hands": 0}, {"presence": 1.2}, {"nms_iou": float("nan")}])
def test_a_config_that_cannot_find_hands_is_refused(wrong):
    with pytest.raises(TaskError, match="cannot find hands"):
        HandsConfig(**wrong)


def test_a_smaller_frame_with_scaled_regions_shows_the_same_hands(task, two_hands):
    rois = task.run(two_hands).next_rois
    whole = task.run(two_hands, rois=rois)
    half = cv2.resize(two_hands, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = task.run(half, rois=[roi.scaled(0.5) for roi in rois])
    for a, b in zip(whole.hands, small.hands, strict=True):
        assert hand_distance(a.landmarks, b.landmarks) < 0.03


def test_a_frame_without_anything_gives_no_hands(task):
    result = task.run(np.full((240, 320, 3), 90, dtype=np.uint8))
    assert result.hands == ()
    assert result.rejected == 0


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 4), (0, 320, 3)])
def test_what_is_no_rgb_image_is_refused_with_what_came(task, shape):
    with pytest.raises(TaskError, match="pass uint8 pixels"):
        task.run(np.zeros(shape, dtype=np.uint8))


def test_a_palm_detector_is_refused_as_landmark_model(palm_model):
    with pytest.raises(TaskError, match="not a hand landmark model"):
        HandTask(palm=None, landmark=palm_model)


@dataclass
class QuantisedEdges:
    """The real landmark model behind int8 input and output tensors, outputs in another order and naming."""

    inner: object
    names: tuple[str, ...] = ("points", "presence", "handedness", "world")

    def inputs(self):
        return (TensorSpec(name="x", shape=(1, 224, 224, 3), dtype="int8", scale=1 / 255, zero_point=-128),)

    def outputs(self):
        points = [
            TensorSpec(name=self.names[i], shape=(1, 63), dtype="int16", scale=0.01, zero_point=0)
            for i in (0, 3)
        ]
        scores = [
            TensorSpec(name=self.names[i], shape=(1, 1), dtype="int8", scale=1 / 256, zero_point=-128)
            for i in (1, 2)
        ]
        return (points[0], *scores, points[1])

    def run(self, inputs):
        real = [(inputs[0].astype(np.float32) + 128) / np.float32(255)]
        outputs = self.inner.run(real)
        return tuple(
            np.clip(np.rint(v / s.scale) + s.zero_point, np.iinfo(s.dtype).min, np.iinfo(s.dtype).max).astype(
                s.dtype
            )
            for v, s in zip(outputs, self.outputs(), strict=True)
        )

    def close(self):
        return None


def test_a_model_with_integer_edges_means_the_same_hands(palm_model, landmark_model, task, two_hands):
    quantised = HandTask(palm=palm_model, landmark=QuantisedEdges(landmark_model))
    for a, b in zip(task.run(two_hands).hands, quantised.run(two_hands).hands, strict=True):
        assert hand_distance(a.landmarks, b.landmarks) < 0.001
        assert b.presence == pytest.approx(a.presence, abs=1 / 256)
        assert b.label == a.label


def test_outputs_in_another_order_are_told_apart_by_their_names():
    names = ("Identity_3", "Identity_2", "Identity_1", "Identity")
    values = (np.full((1, 63), 3), np.full((1, 1), 0.25), np.full((1, 1), 0.75), np.zeros((1, 63)))
    specs = tuple(
        TensorSpec(name=n, shape=v.shape, dtype="float32") for n, v in zip(names, values, strict=True)
    )
    raw = decode_landmarks(values, specs)
    assert (raw.presence, raw.handedness) == (0.75, 0.25)
    assert not raw.points.any()
