"""The states of an update: every row is walked, every other pair is refused."""

from itertools import product

import pytest

from schemas.states import (
    BEFORE_SWITCH,
    TERMINAL,
    TRANSITIONS,
    IllegalTransitionError,
    UpdateEvent,
    UpdateState,
    next_state,
)

ILLEGAL = sorted(set(product(UpdateState, UpdateEvent)) - set(TRANSITIONS))


def test_every_row_of_the_table_is_taken():
    for (state, event), target in TRANSITIONS.items():
        assert next_state(state, event) is target


def test_every_pair_that_is_no_row_is_refused_and_changes_nothing():
    before = dict(TRANSITIONS)
    for state, event in ILLEGAL:
        with pytest.raises(IllegalTransitionError) as caught:
            next_state(state, event)
        assert state.value in str(caught.value)
        assert event.value in str(caught.value)
    assert before == TRANSITIONS


def test_every_state_is_reached_from_idle():
    seen, frontier = set(), {UpdateState.IDLE}
    while frontier:
        seen |= frontier
        frontier = {target for (state, _), target in TRANSITIONS.items() if state in frontier} - seen
    assert seen == set(UpdateState)


def test_every_event_moves_something():
    assert {event for _, event in TRANSITIONS} == set(UpdateEvent)


def test_every_state_that_is_not_an_end_has_a_way_to_an_end():
    for state in set(UpdateState) - TERMINAL - {UpdateState.IDLE}:
        seen, frontier = set(), {state}
        while frontier:
            seen |= frontier
            frontier = {target for (at, _), target in TRANSITIONS.items() if at in frontier} - seen
        assert seen & TERMINAL


def test_an_end_is_left_by_a_new_offer_only():
    for state in TERMINAL:
        assert {event for at, event in TRANSITIONS if at is state} == {UpdateEvent.OFFER}


def test_before_the_switch_every_phase_can_fail_expire_be_cancelled_and_superseded():
    ways_out = {UpdateEvent.FAIL, UpdateEvent.EXPIRE, UpdateEvent.CANCEL, UpdateEvent.SUPERSEDE}
    for state in BEFORE_SWITCH:
        assert ways_out <= {event for at, event in TRANSITIONS if at is state}


def test_after_the_switch_nothing_ends_without_rolling_back_or_committing():
    for state in (UpdateState.SWITCHING, UpdateState.PROBATION):
        targets = {target for (at, _), target in TRANSITIONS.items() if at is state}
        assert targets <= {UpdateState.PROBATION, UpdateState.COMMITTED, UpdateState.ROLLING_BACK}
