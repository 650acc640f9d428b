"""The palm detector's arithmetic, with scores and boxes written by hand, and its edges to a model."""

import numpy as np
import pytest

from inference.errors import TaskError
from inference.runtimes.base import TensorSpec
from inference.tasks.palm import N_ANCHORS, check_palm_model, decode_palms, palm_anchors
from inference.tasks.tensors import decode_output, encode_image


def raw(*hits):
    """Regressors and logits that are silent but for (anchor, logit, dx, dy, size) in pixels of 192."""
    regressors = np.zeros((N_ANCHORS, 18), dtype=np.float32)
    logits = np.full(N_ANCHORS, -20, dtype=np.float32)
    for anchor, logit, dx, dy, size in hits:
        logits[anchor] = logit
        regressors[anchor, :4] = (dx, dy, size, size)
    return regressors, logits


def test_anchors_are_two_a_cell_of_24_then_six_a_cell_of_12():
    anchors = palm_anchors()
    assert anchors.shape == (2016, 2)
    assert anchors[0] == pytest.approx([0.5 / 24, 0.5 / 24])
    assert anchors[2] == pytest.approx([1.5 / 24, 0.5 / 24])
    assert anchors[48] == pytest.approx([0.5 / 24, 1.5 / 24])
    assert anchors[1152] == pytest.approx([0.5 / 12, 0.5 / 12])
    assert anchors[1158] == pytest.approx([1.5 / 12, 0.5 / 12])


def test_silence_gives_no_palm():
    assert decode_palms(*raw(), min_score=0.5, nms_iou=0.3) == []


def test_a_box_is_centred_on_its_anchor_plus_its_offset():
    (palm,) = decode_palms(*raw((48, 3.0, 19.2, 0, 38.4)), min_score=0.5, nms_iou=0.3)
    x, y = palm_anchors()[48]
    assert palm.box == pytest.approx([x + 0.1 - 0.1, y - 0.1, x + 0.1 + 0.1, y + 0.1], abs=1e-6)
    assert palm.score == pytest.approx(1 / (1 + np.exp(-3)))


def test_overlapping_boxes_are_averaged_by_score_and_keep_the_best_score():
    (palm,) = decode_palms(*raw((0, 2.0, 50, 50, 40), (1, 0.5, 56, 50, 40)), min_score=0.5, nms_iou=0.3)
    scores = 1 / (1 + np.exp(-np.array([2.0, 0.5])))
    x = (palm_anchors()[0, 0] + np.array([50, 56]) / 192) @ scores / scores.sum()
    assert (palm.box[0] + palm.box[2]) / 2 == pytest.approx(x)
    assert palm.score == pytest.approx(scores[0])


def test_boxes_apart_stay_apart_best_first():
    palms = decode_palms(*raw((0, 1.0, 20, 20, 20), (1, 2.0, 120, 20, 20)), min_score=0.5, nms_iou=0.3)
    assert [round(p.score, 3) for p in palms] == [0.881, 0.731]


def test_scores_beyond_the_clip_do_not_overflow():
    (palm,) = decode_palms(*raw((0, 5e4, 20, 20, 20)), min_score=0.5, nms_iou=0.3)
    assert palm.score == pytest.approx(1)


def test_boxes_without_area_or_not_in_numbers_are_left_out():
    regressors, logits = raw((0, 5, 20, 20, -3), (1, 5, 20, 20, float("nan")))
    assert decode_palms(regressors, logits, min_score=0.5, nms_iou=0.3) == []


def test_a_float_input_is_pixels_over_255():
    spec = TensorSpec(name="x", shape=(1, 1, 2, 3), dtype="float32")
    crop = np.array([[[0, 51, 255], [255, 0, 0]]], dtype=np.uint8)
    encoded = encode_image(crop, spec)
    assert encoded.dtype == np.float32
    assert encoded[0, 0] == pytest.approx(np.array([[0, 0.2, 1], [1, 0, 0]]))


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 0)])
def test_an_integer_input_means_the_same_pixels(dtype, zero_point):
    spec = TensorSpec(name="x", shape=(1, 1, 1, 3), dtype=dtype, scale=1 / 255, zero_point=zero_point)
    encoded = encode_image(np.array([[[0, 51, 255]]], dtype=np.uint8), spec)
    assert encoded.dtype == dtype
    assert decode_output(encoded, spec)[0, 0, 0] == pytest.approx([0, 0.2, 1], abs=1e-6)


def test_a_landmark_model_is_refused_as_palm_detector(landmark_model):
    with pytest.raises(TaskError, match=r"not a palm detection model: it takes .*224"):
        check_palm_model(landmark_model)
