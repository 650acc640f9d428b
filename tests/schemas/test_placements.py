"""Placement ids: every one that can be is read back, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.placements import MAX_POSITION, Placement, PlacementIdError, placement_of


@given(st.integers(0, MAX_POSITION - 1), st.integers(1, MAX_POSITION))
def test_an_id_names_its_placement_and_is_never_the_whole_task(start, end):
    if start >= end:
        with pytest.raises(PlacementIdError, match="the end behind the start"):
            Placement(start=start, end=end)
        return
    placement = Placement(start=start, end=end)
    assert 0 < placement.id <= 0xFFFF_FFFF
    assert placement_of(placement.id) == placement


@pytest.mark.parametrize("number", [0, -1, 1 << 32, 5 << 16 | 5, 5 << 16, 0xFFFF_0001])
def test_a_number_that_names_no_part_is_refused_with_what_to_send(number):
    with pytest.raises(PlacementIdError, match=r"send start << 16|the end behind the start"):
        placement_of(number)
