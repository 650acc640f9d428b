"""Regions: geometry that must hold whatever the frame, and cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.tasks.roi import (
    Roi,
    associate,
    frame_from_crop,
    iou,
    roi_from_landmarks,
    roi_from_palm,
    whole_frame,
)

ANGLES = st.floats(-math.pi, math.pi)


def upright_hand():
    """21 landmarks of a hand that points up: wrist below, finger tips above, thumb left."""
    points = np.zeros((21, 2))
    points[0] = (100, 200)
    points[1:5] = [(80, 180), (65, 160), (55, 140), (50, 125)]
    for finger, x in enumerate((80, 97, 112, 128)):
        points[5 + 4 * finger : 9 + 4 * finger] = [(x, 120), (x, 90), (x, 70), (x, 55)]
    return points


def turned(points, *, angle, centre=(100.0, 150.0)):
    cos, sin = math.cos(angle), math.sin(angle)
    return (points - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def test_crop_corners_are_the_corners_of_an_upright_region():
    matrix = frame_from_crop(Roi(cx=50, cy=40, width=20, height=20), side=224)
    corners = np.array([[0, 0, 1], [224, 0, 1], [224, 224, 1]]) @ matrix.T
    assert corners == pytest.approx(np.array([[40, 30], [60, 30], [60, 50]]))


@settings(deadline=None)  # a busy machine is no finding
@given(angle=ANGLES)
def test_the_middle_of_the_crop_is_the_middle_of_the_region_however_it_is_turned(angle):
    roi = Roi(cx=50, cy=40, width=20, height=20, rotation_rad=angle)
    assert frame_from_crop(roi, side=224) @ [112, 112, 1] == pytest.approx([50, 40])


@settings(deadline=None)  # a busy machine is no finding
@given(angle=ANGLES)
def test_turning_the_hand_turns_the_region_and_changes_nothing_else(angle):
    straight = roi_from_landmarks(upright_hand())
    roi = roi_from_landmarks(turned(upright_hand(), angle=angle))
    centre = turned(np.array([[straight.cx, straight.cy]]), angle=angle)[0]
    assert (roi.width, roi.height) == pytest.approx((straight.width, straight.height))
    assert (roi.cx, roi.cy) == pytest.approx(tuple(centre))
    assert math.cos(roi.rotation_rad - straight.rotation_rad - angle) == pytest.approx(1)


@settings(deadline=None)  # a busy machine is no finding
@given(angle=ANGLES)
def test_a_hand_looks_upright_in_its_own_crop(angle):
    hand = turned(upright_hand(), angle=angle)
    matrix = frame_from_crop(roi_from_landmarks(hand), side=224)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    in_crop = np.hstack([hand, np.ones((21, 1))]) @ inverse[:2].T
    assert in_crop.min() >= 0
    assert in_crop.max() <= 224
    assert in_crop[9, 1] < in_crop[0, 1]
    assert abs(in_crop[9, 0] - in_crop[0, 0]) < 40


def test_finger_tips_do_not_move_the_region():
    spread = upright_hand()
    spread[[4, 8, 12, 16, 20]] += (15, -30)
    assert roi_from_landmarks(spread) == roi_from_landmarks(upright_hand())


def test_a_palm_that_points_up_gives_a_square_above_its_box():
    keypoints = np.zeros((7, 2), dtype=np.float32)
    keypoints[0], keypoints[2] = (50, 80), (50, 40)
    roi = roi_from_palm(box=np.array([30, 40, 70, 80], dtype=np.float32), keypoints=keypoints)
    assert roi.rotation_rad == pytest.approx(0)
    assert (roi.cx, roi.cy) == pytest.approx((50, 60 - 0.5 * 40))
    assert (roi.width, roi.height) == pytest.approx((104, 104))


def test_the_whole_frame_is_a_centred_square_as_wide_as_the_longer_side():
    assert whole_frame(width=640, height=360) == Roi(cx=320, cy=180, width=640, height=640)


def test_a_region_scaled_there_and_back_is_the_same():
    roi = Roi(cx=50, cy=40, width=20, height=30, rotation_rad=1)
    assert roi.scaled(0.5).scaled(2) == roi


def test_overlap_of_equal_halves_and_apart():
    a = Roi(cx=10, cy=10, width=20, height=20)
    assert iou(a, a) == pytest.approx(1)
    assert iou(a, a.moved(dx=10, dy=0)) == pytest.approx(1 / 3)
    assert iou(a, a.moved(dx=20, dy=0)) == 0


def test_a_tracked_hand_keeps_its_region_when_the_palm_detector_finds_it_again():
    tracked = Roi(cx=10, cy=10, width=20, height=20)
    again, other = tracked.moved(dx=2, dy=0), tracked.moved(dx=100, dy=0)
    assert associate(found=[again, other], tracked=[tracked], min_iou=0.5) == [tracked, other]


def test_two_tracked_regions_on_one_hand_become_one():
    first = Roi(cx=10, cy=10, width=20, height=20)
    second = first.moved(dx=1, dy=0)
    assert associate(found=[], tracked=[first, second], min_iou=0.5) == [second]
