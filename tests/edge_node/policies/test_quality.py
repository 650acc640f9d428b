"""The tables of what a way loses in quality."""

from itertools import pairwise

import pytest

from edge_node.policies.quality import PICTURE_LOSSES, picture_loss, together
from schemas.deployments import ModelLoss

LITE = ModelLoss().local


def test_a_better_picture_never_loses_more():
    losses = [picture_loss(quality) for quality in range(10, 101)]
    assert all(more > less for more, less in pairwise(losses))
    assert [picture_loss(quality) for quality, _ in PICTURE_LOSSES] == [loss for _, loss in PICTURE_LOSSES]


def test_every_picture_but_a_wretched_one_loses_less_than_the_smaller_model():
    assert picture_loss(30) < LITE < picture_loss(10)


def test_two_losses_are_no_more_than_all_and_no_less_than_the_greater():
    assert together(0.0, 0.24) == pytest.approx(0.24)
    assert 0.24 < together(0.05, 0.24) < 0.29
    assert together(1.0, 0.3) == 1.0
