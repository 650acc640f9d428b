"""Bytes into time, learned from what was delivered."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.estimates.bandwidth import Bandwidth

S = 1_000_000_000
MS = 1_000_000


def deliver(link, *, frames, bytes_per_s, start_ms, jitter_ms, rng, now_ns=0, pings=True):
    """30 fps of JPEGs between 8 and 24 KB, a ping after every third; jitter is one-sided and heavy."""
    for index in range(frames):
        now_ns += 33 * MS
        sizes = [rng.randrange(8_000, 24_000)] + [64] * (pings and index % 3 == 0)
        for size in sizes:
            jitter_ns = min(rng.expovariate(1 / jitter_ms), 10 * jitter_ms) * MS if jitter_ms else 0
            took_ns = start_ms * MS + size / bytes_per_s * S + jitter_ns
            link.add(size, round(took_ns), now_ns=now_ns)
    return now_ns


@settings(deadline=None, max_examples=30)
@given(st.integers(10, 400), st.integers(1, 30), st.floats(0.0, 3.0), st.integers(0, 10**6))
def test_rate_and_start_are_recovered_under_jitter(mbit, start_ms, jitter_ms, seed):
    link, rate = Bandwidth(), mbit * 1e6 / 8
    now_ns = deliver(
        link, frames=300, bytes_per_s=rate, start_ms=start_ms, jitter_ms=jitter_ms, rng=random.Random(seed)
    )
    for size in (64, 8_000, 16_000, 24_000):
        truth_ms = start_ms + size / rate * 1e3 + jitter_ms
        # far-off samples are clipped, so of a heavy jitter's mean a third may be missing
        bound_ms = 0.3 + jitter_ms / 3
        assert link.transfer_ns(size, now_ns=now_ns) / MS == pytest.approx(truth_ms, rel=0.15, abs=bound_ms)
    if jitter_ms < 16_000 / rate * 1e3 / 2:
        assert link.bytes_per_s == pytest.approx(rate, rel=0.2)


def test_sizes_that_are_all_alike_tell_the_level_but_no_rate():
    link, rng = Bandwidth(), random.Random(3)
    for index in range(200):
        took_ns = 9 * MS + rng.randrange(MS)
        link.add(15_000 + rng.randrange(50), took_ns, now_ns=index * 33 * MS)
    assert link.bytes_per_s is None
    assert link.transfer_ns(15_000, now_ns=7 * S) == pytest.approx(9.5 * MS, rel=0.05)
    assert link.transfer_ns(64, now_ns=7 * S) < link.transfer_ns(15_000, now_ns=7 * S)


def test_before_anything_was_delivered_the_prior_answers():
    link = Bandwidth(prior_bytes_per_s=1e6, prior_start_ns=2 * MS)
    assert (link.bytes_per_s, len(link)) == (None, 0)
    assert link.transfer_ns(10_000, now_ns=0) == 12 * MS


def test_a_new_rate_is_known_ten_frames_after_a_reset():
    rng, link = random.Random(4), Bandwidth()
    now_ns = deliver(link, frames=200, bytes_per_s=10e6, start_ms=4, jitter_ms=0.3, rng=rng)
    link.reset(keep=3)
    assert len(link) == 3
    link.reset()
    assert len(link) == 0
    now_ns = deliver(link, frames=10, bytes_per_s=2.5e6, start_ms=4, jitter_ms=0.3, rng=rng, now_ns=now_ns)
    assert link.bytes_per_s == pytest.approx(2.5e6, rel=0.2)


@pytest.mark.parametrize("rate", [1e6, 20e6])
def test_after_a_change_the_start_is_what_small_messages_took_and_the_rest_is_the_rate(rate):
    rng, link = random.Random(6), Bandwidth()
    now_ns = deliver(link, frames=100, bytes_per_s=5e6, start_ms=4, jitter_ms=0.0, rng=rng)
    for _ in range(3):
        now_ns += 33 * MS
        link.add(20_000, round(4 * MS + 20_000 / rate * S), now_ns=now_ns)
    link.reset(keep=3)
    for size in (64, 5_000, 20_000):
        assert link.transfer_ns(size, now_ns=now_ns) == pytest.approx(4 * MS + size / rate * S, rel=0.1)


def test_where_only_small_messages_are_known_a_change_is_one_of_the_start():
    link = Bandwidth()
    for index in range(60):
        link.add(64, (4 if index < 50 else 30) * MS, now_ns=index * 100 * MS)
    link.reset(keep=8)
    assert link.start_ns == pytest.approx(30 * MS, rel=0.05)
    assert link.transfer_ns(20_000, now_ns=6 * S) == pytest.approx(34 * MS, rel=0.05)


def test_a_start_is_never_believed_longer_than_a_whole_delivery():
    link = Bandwidth(prior_start_ns=40 * MS)
    link.add(20_000, 44 * MS, now_ns=0)
    for index in range(3):
        link.add(20_000, 8 * MS, now_ns=index * 33 * MS)
    link.reset(keep=3)
    assert 0 <= link.start_ns <= 5 * MS
    assert link.transfer_ns(20_000, now_ns=S) == pytest.approx(8 * MS, rel=0.05)


def test_one_stall_is_no_slow_link():
    rng, link = random.Random(5), Bandwidth()
    now_ns = deliver(link, frames=200, bytes_per_s=10e6, start_ms=4, jitter_ms=0.3, rng=rng)
    before_ns = link.transfer_ns(15_000, now_ns=now_ns)
    link.add(15_000, 2 * S, now_ns=now_ns)
    assert link.transfer_ns(15_000, now_ns=now_ns) == pytest.approx(before_ns, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10 * S)), max_size=40))
def test_no_time_is_negative_and_more_bytes_never_take_less(rows):
    link = Bandwidth()
    for index, (size, took_ns) in enumerate(rows):
        link.add(size, took_ns, now_ns=index * MS)
    times = [link.transfer_ns(size, now_ns=S) for size in (0, 1, 1_000, 10**5, 10**7)]
    assert times == sorted(times)
    assert times[0] >= 0
