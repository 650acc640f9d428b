"""Counters and histograms."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.errors import MetricsError
from observability.histogram import BUCKETS, Histogram, bucket_of, upper_us
from observability.metrics import MAX_SERIES, Registry


@given(st.floats(min_value=1.01, max_value=1e8))
def test_every_duration_lies_in_its_bucket(value_us):
    bucket = bucket_of(value_us)
    assert value_us <= upper_us(bucket) * (1 + 1e-9)
    assert value_us >= upper_us(bucket - 1) * (1 - 1e-9)


def test_the_buckets_reach_from_a_microsecond_to_100_seconds():
    assert bucket_of(0) == 0
    assert upper_us(BUCKETS - 1) >= 100e6 * 0.99
    assert bucket_of(1e12) == BUCKETS - 1


def test_quantiles_are_within_five_percent_of_the_exact_ones():
    values = np.random.default_rng(3).lognormal(8, 1, 5000)
    histogram = Histogram()
    for value in values:
        histogram.record(float(value))
    for fraction in (0.5, 0.9, 0.99):
        exact = float(np.quantile(values, fraction, method="inverted_cdf"))
        assert histogram.quantile_us(fraction) == pytest.approx(exact, rel=0.05)


def test_merged_histograms_equal_one_that_saw_everything():
    one, two, both = Histogram(), Histogram(), Histogram()
    for at in range(1, 200):
        (one if at % 2 else two).record(at * 10)
        both.record(at * 10)
    one.merge(two)
    assert (one.counts, one.total, one.sum_us, one.largest_us) == (
        both.counts,
        both.total,
        both.sum_us,
        both.largest_us,
    )


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_duration_that_cannot_be_one_is_refused(value):
    with pytest.raises(MetricsError):
        Histogram().record(value)


def test_an_empty_histogram_has_no_quantile():
    assert Histogram().quantile_us(0.5) is None


def test_counters_are_exact_when_many_threads_count():
    registry = Registry()

    def count():
        for _ in range(2000):
            registry.count("frames", path="local")
            registry.record("latency", 5.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.counter("frames", path="local") == 8000
    assert registry.histogram("latency").count == 8000


def test_labels_name_their_own_series_in_any_order():
    registry = Registry()
    registry.count("refused", reason="busy", task="hands")
    registry.count("refused", task="hands", reason="busy")
    registry.count("refused", reason="expired", task="hands")
    assert registry.counter("refused", task="hands", reason="busy") == 2
    assert registry.counter("refused", task="text", reason="busy") == 0


def test_a_snapshot_is_json_and_quotes_labels():
    registry = Registry()
    registry.count("odd", by=3, text='a"b\n')
    registry.record("latency", 1500.0, path="local")
    snapshot = json.loads(json.dumps(registry.snapshot()))
    assert snapshot["counters"] == {'odd{text="a\\"b\\n"}': 3}
    reading = snapshot["histograms"]['latency{path="local"}']
    assert reading["count"] == 1
    assert reading["p50_us"] == pytest.approx(1500, rel=0.05)
    assert reading["largest_us"] == 1500


def test_a_snapshot_does_not_change_afterwards():
    registry = Registry()
    registry.count("frames")
    before = registry.snapshot()
    registry.count("frames")
    assert before["counters"] == {"frames": 1}


def test_a_name_has_one_kind():
    registry = Registry()
    registry.count("frames")
    with pytest.raises(MetricsError):
        registry.record("frames", 1.0)
    registry.record("latency", 1.0)
    with pytest.raises(MetricsError):
        registry.count("latency")


def test_a_counter_never_goes_back():
    with pytest.raises(MetricsError):
        Registry().count("frames", by=-1)


def test_labels_without_bound_are_refused_and_known_ones_still_count():
    registry = Registry()
    for at in range(MAX_SERIES):
        registry.count("frames", frame_id=at)
    with pytest.raises(MetricsError):
        registry.count("frames", frame_id=MAX_SERIES)
    registry.count("frames", frame_id=0)
    assert registry.counter("frames", frame_id=0) == 2


def test_a_label_may_be_called_name():
    registry = Registry()
    registry.count("models", name="hands")
    registry.record("load", 5.0, name="hands")
    assert registry.counter("models", name="hands") == registry.histogram("load", name="hands").count == 1
