"""The acts of the demo and when they begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.timeline import CUT_S, NOMINAL_S, SHORTEST_S, Act, timeline


def moments(seconds):
    return {cue.act: cue.at_s for cue in timeline(seconds)}


def test_the_nominal_demo_plays_at_the_nominal_seconds():
    assert moments(NOMINAL_S) == {
        Act.REGISTER: 0.0,
        Act.DEPLOY: 8.0,
        Act.CUT: 25.0,
        Act.RESTORE: 28.0,
        Act.SABOTAGE: 38.0,
        Act.REPORT: 58.0,
    }


def test_half_the_seconds_halve_the_cues_but_not_the_outage():
    assert moments(30.0) == {
        Act.REGISTER: 0.0,
        Act.DEPLOY: 4.0,
        Act.CUT: 12.5,
        Act.RESTORE: 12.5 + CUT_S,
        Act.SABOTAGE: 19.0,
        Act.REPORT: 29.0,
    }


@given(st.floats(SHORTEST_S, 3600.0))
def test_every_act_comes_once_in_order_and_within_the_demo(seconds):
    cues = timeline(seconds)
    assert sorted(cue.act.value for cue in cues) == sorted(act.value for act in Act)
    assert [cue.at_s for cue in cues] == sorted(cue.at_s for cue in cues)
    assert cues[0].act is Act.REGISTER
    assert cues[-1].act is Act.REPORT
    assert cues[-1].at_s < seconds


@given(st.floats(SHORTEST_S, 3600.0))
def test_the_network_is_back_before_the_bad_rollouts(seconds):
    at_s = moments(seconds)
    assert at_s[Act.RESTORE] - at_s[Act.CUT] == pytest.approx(CUT_S)
    assert at_s[Act.RESTORE] < at_s[Act.SABOTAGE]


@pytest.mark.parametrize("seconds", [29.9, 5.0, 0.0, -60.0, float("nan"), float("inf")])
def test_a_demo_too_short_for_its_acts_is_refused_with_the_least_length(seconds):
    with pytest.raises(ValueError, match="at least 30"):
        timeline(seconds)
