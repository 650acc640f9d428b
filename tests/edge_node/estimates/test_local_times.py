"""What a run takes at worst, from a bounded memory."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.device_class import Thermal
from edge_node.estimates.local_times import ENOUGH, LocalTimes
from edge_node.jobs import JobKind

MS = 1_000_000
COOL, HOT = Thermal.NOMINAL, Thermal.THROTTLED


def rank(values, fraction):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered) - 1e-9) - 1)]


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=200), st.floats(0.0, 1.0))
def test_a_fraction_is_never_too_short_and_at_most_a_percent_too_long(values, fraction):
    times = LocalTimes(prior_ns=9 * MS)
    for value in values:
        times.add(JobKind.WHOLE, COOL, value, encoding=False)
    exact_ns = rank(values, fraction)
    assert exact_ns - 1 <= times.at(JobKind.WHOLE, COOL, fraction) <= exact_ns * 1.011 + 1
    assert times.p999(JobKind.WHOLE, COOL) == round(1.25 * max(values))
    assert times.count(JobKind.WHOLE, COOL) == len(values)


def test_enough_runs_while_encoding_give_their_own_99_9th_percentile():
    times, rng = LocalTimes(prior_ns=9 * MS), random.Random(1)
    values = [round(rng.lognormvariate(0, 0.3) * 10 * MS) for _ in range(ENOUGH)]
    for value in values[:-1]:
        times.add(JobKind.WHOLE, COOL, value, encoding=True)
    assert times.p999(JobKind.WHOLE, COOL) == round(1.25 * max(values[:-1]))
    times.add(JobKind.WHOLE, COOL, values[-1], encoding=True)
    assert times.p999(JobKind.WHOLE, COOL) == pytest.approx(rank(values, 0.999), rel=0.011)


def test_runs_without_encoding_are_not_enough():
    times = LocalTimes(prior_ns=9 * MS)
    for _ in range(ENOUGH):
        times.add(JobKind.WHOLE, COOL, 10 * MS, encoding=False)
    assert times.p999(JobKind.WHOLE, COOL) == 12.5 * MS
    assert times.count(JobKind.WHOLE, COOL, encoding=True) == 0


def test_what_a_chip_did_long_ago_is_forgotten():
    times = LocalTimes(prior_ns=9 * MS)
    times.add(JobKind.WHOLE, COOL, 500 * MS, encoding=True)
    for _ in range(2 * ENOUGH):
        times.add(JobKind.WHOLE, COOL, 10 * MS, encoding=True)
    assert times.at(JobKind.WHOLE, COOL, 1.0) == 10 * MS
    assert times.count(JobKind.WHOLE, COOL) <= 2 * ENOUGH


def test_what_never_ran_takes_the_prior_and_a_quarter_and_heat_never_helps():
    times = LocalTimes(prior_ns=8 * MS)
    assert times.at(JobKind.HEAD, COOL, 0.5) == 8 * MS
    assert times.p999(JobKind.HEAD, HOT) == 10 * MS
    times.add(JobKind.HEAD, COOL, 20 * MS, encoding=True)
    assert times.at(JobKind.HEAD, HOT, 0.5) == 20 * MS
    assert times.p999(JobKind.HEAD, HOT) == 25 * MS


def test_another_model_starts_from_nothing():
    times = LocalTimes(prior_ns=8 * MS)
    for kind in (JobKind.HEAD, JobKind.TAIL):
        times.add(kind, COOL, 20 * MS, encoding=True)
    times.forget(JobKind.HEAD)
    assert (times.count(JobKind.HEAD, COOL), times.count(JobKind.TAIL, COOL)) == (0, 1)
    times.forget()
    assert times.at(JobKind.TAIL, COOL, 0.5) == 8 * MS
