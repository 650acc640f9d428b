"""How large the next picture would be at another quality."""

from itertools import pairwise

import pytest

from edge_node.picture_sizes import CURVE, FIRST_BYTES, FIRST_QUALITY, PictureSizes, relative_size


def test_a_better_quality_is_never_expected_to_be_smaller():
    sizes = [relative_size(quality) for quality in range(10, 101)]
    assert all(small < large for small, large in pairwise(sizes))
    assert [relative_size(quality) for quality, _ in CURVE] == [size for _, size in CURVE]


def test_before_the_first_picture_a_usual_size_is_expected():
    assert PictureSizes().expected_bytes(FIRST_QUALITY) == FIRST_BYTES


@pytest.mark.parametrize("quality", [10, 33, 80, 100])
def test_the_newest_picture_tells_the_size_at_its_own_quality_and_the_curve_at_others(quality):
    sizes = PictureSizes()
    sizes.sent(1_000, quality=80)
    sizes.sent(7_777, quality=quality)
    assert sizes.expected_bytes(quality) == 7_777
    assert sizes.expected_bytes(50) == pytest.approx(
        7_777 * relative_size(50) / relative_size(quality), abs=1
    )
