"""Quantiles of the newest durations, against counting."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.estimates.quantiles import Quantiles


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_a_measured_value_that_enough_do_not_exceed(values, fraction):
    quantiles = Quantiles(prior_ns=7, window=50)
    assert quantiles.at(fraction) == 7
    for value in values:
        quantiles.add(value)
    recent = values[-50:]
    found = quantiles.at(fraction)
    assert found in recent
    assert sum(value <= found for value in recent) >= fraction * len(recent)


@given(st.lists(st.integers(0, 100), max_size=120), st.integers(-5, 105))
def test_the_share_below_a_duration_counts_the_window_and_without_one_asks_the_prior(values, duration_ns):
    quantiles = Quantiles(prior_ns=40, window=50)
    for value in values:
        quantiles.add(value)
        quantiles.share_below(duration_ns)  # asked in between, it must not answer from an older order
    recent = values[-50:] or [40]
    share = quantiles.share_below(duration_ns)
    assert share == sum(value <= duration_ns for value in recent) / len(recent)
    assert quantiles.share_below(quantiles.at(0.9)) >= 0.9
