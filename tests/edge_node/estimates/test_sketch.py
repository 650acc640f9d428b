"""Quantiles of the recent past, against the same sums done the long way."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.estimates.sketch import NEVER_NS, DecayedSketch

S = 1_000_000_000
MS = 1_000_000

samples = st.lists(
    st.tuples(st.integers(-50 * MS, 500 * MS), st.integers(0, 3 * S), st.booleans()), min_size=1, max_size=60
)


def filled(rows, *, half_life_ns=2 * S, limit=512, **prior):
    sketch, now_ns, known = DecayedSketch(half_life_ns, limit, **prior), 0, []
    for value_ns, gap_ns, lost in rows:
        now_ns += gap_ns
        if lost:
            sketch.add_loss(now_ns=now_ns)
        else:
            sketch.add(value_ns, now_ns=now_ns)
        known.append((NEVER_NS if lost else value_ns, now_ns))
    return sketch, known[-limit:], now_ns


@given(samples, st.integers(-60 * MS, 600 * MS), st.integers(0, 10 * S), st.integers(1, 40))
def test_the_share_below_is_the_faded_share_done_the_long_way(rows, value_ns, later_ns, limit):
    sketch, known, now_ns = filled(rows, limit=limit, prior_share=0.2, prior_weight=2.0)
    now_ns += later_ns
    weights = [0.5 ** ((now_ns - at_ns) / (2 * S)) for _, at_ns in known]
    below = sum(w for w, (known_ns, _) in zip(weights, known, strict=True) if known_ns <= value_ns)
    assert len(sketch) == len(known)
    assert sketch.weight(now_ns=now_ns) == pytest.approx(sum(weights))
    assert sketch.share_below(value_ns, now_ns=now_ns) == pytest.approx((below + 0.4) / (sum(weights) + 2.0))


@given(samples, st.floats(0.0, 1.0))
def test_a_quantile_is_a_sample_that_splits_the_weight_there(rows, fraction):
    sketch, known, now_ns = filled(rows)
    found_ns = sketch.at(fraction, now_ns=now_ns)
    weights = [(known_ns, 0.5 ** ((now_ns - at_ns) / (2 * S))) for known_ns, at_ns in known]
    total = sum(w for _, w in weights)
    assert found_ns in {known_ns for known_ns, _ in known}
    assert sum(w for known_ns, w in weights if known_ns <= found_ns) >= (fraction - 1e-9) * total
    assert sum(w for known_ns, w in weights if known_ns < found_ns) <= (fraction + 1e-9) * total


@given(samples, st.integers(0, 70))
def test_a_reset_keeps_the_newest(rows, keep):
    sketch, known, now_ns = filled(rows)
    sketch.reset(keep=keep)
    kept = known[len(known) - min(keep, len(known)) :]
    assert len(sketch) == len(kept)
    assert sketch.at(0.0, now_ns=now_ns) == min((value for value, _ in kept), default=None)
    assert sketch.at(1.0, now_ns=now_ns) == max((value for value, _ in kept), default=None)


def test_nothing_added_says_nothing():
    sketch = DecayedSketch(S)
    assert sketch.at(0.5, now_ns=0) is None
    assert sketch.share_below(5, now_ns=0) is None
    assert sketch.weight(now_ns=0) == 0


def test_no_budget_reaches_a_loss():
    sketch = DecayedSketch(S, prior_weight=0.0)
    sketch.add(5 * MS, now_ns=0)
    sketch.add_loss(now_ns=0)
    assert sketch.share_below(NEVER_NS * 2, now_ns=0) == pytest.approx(0.5)
    assert sketch.at(0.5, now_ns=0) == 5 * MS
    assert sketch.at(0.51, now_ns=0) == NEVER_NS


def test_what_faded_away_promises_no_more_than_the_prior():
    sketch = DecayedSketch(S, prior_share=0.1)
    for _ in range(100):
        sketch.add(5 * MS, now_ns=0)
    assert sketch.share_below(6 * MS, now_ns=0) > 0.99
    assert sketch.share_below(6 * MS, now_ns=60 * S) == pytest.approx(0.1, abs=1e-6)


def test_years_of_samples_neither_overflow_nor_drift():
    sketch, rng = DecayedSketch(S, prior_weight=0.0), random.Random(1)
    for second in range(0, 400_000, 100):
        sketch.add(rng.randrange(100), now_ns=second * S)
    assert sketch.at(0.5, now_ns=400_000 * S) is not None
    assert sketch.weight(now_ns=399_900 * S) == pytest.approx(1.0)


@given(samples, samples)
def test_a_picture_stays_as_it_was_taken(before, after):
    sketch, _, now_ns = filled(before)
    picture = sketch.picture(now_ns=now_ns)
    told = [picture.at(step / 7) for step in range(8)], picture.share_below(100 * MS), len(picture)
    for value_ns, _, _ in after:
        sketch.add(value_ns, now_ns=now_ns)
    sketch.reset(keep=1)
    assert told == ([picture.at(step / 7) for step in range(8)], picture.share_below(100 * MS), len(picture))
