"""The tables of what a way loses in quality."""

from itertools import pairwise

from edge_node.policies.quality import LOCAL_LOSS, PICTURE_LOSSES, picture_loss


def test_a_better_picture_never_loses_more():
    losses = [picture_loss(quality) for quality in range(10, 101)]
    assert all(more > less for more, less in pairwise(losses))
    assert [picture_loss(quality) for quality, _ in PICTURE_LOSSES] == [loss for _, loss in PICTURE_LOSSES]


def test_every_picture_but_a_wretched_one_loses_less_than_the_smaller_model():
    assert picture_loss(30) < LOCAL_LOSS < picture_loss(10)
