"""How long to wait for a reply: RFC 6298 without its floor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.estimates.rtt import INITIAL_NS, RttEstimator, transport_rtt_ns
from schemas.messages import Timing

MS = 1_000_000
rtts = st.lists(st.integers(0, 3_000 * MS), min_size=1, max_size=50)


def test_the_first_round_trip_and_the_second_follow_the_rfc():
    rtt = RttEstimator()
    assert (rtt.rto_ns, rtt.srtt_ns) == (INITIAL_NS, None)
    rtt.add(8 * MS)
    assert (rtt.srtt_ns, rtt.rttvar_ns, rtt.rto_ns) == (8 * MS, 4 * MS, 24 * MS)
    rtt.add(16 * MS)
    assert (rtt.srtt_ns, rtt.rttvar_ns, rtt.rto_ns) == (9 * MS, 5 * MS, 29 * MS)


def test_a_steady_short_round_trip_waits_for_milliseconds_not_for_a_second():
    rtt = RttEstimator()
    for _ in range(200):
        rtt.add(5 * MS)
    assert rtt.rto_ns == pytest.approx(6 * MS, rel=0.01)


@given(rtts)
def test_the_wait_is_never_shorter_than_the_smoothed_round_trip(values):
    rtt = RttEstimator()
    for value in values:
        rtt.add(value)
        assert rtt.srtt_ns < rtt.rto_ns <= 60_000 * MS


@given(rtts, st.integers(1, 80))
def test_each_missing_reply_doubles_the_wait_up_to_the_ceiling_and_a_round_trip_ends_that(values, missing):
    rtt = RttEstimator(max_ns=10_000 * MS)
    for value in values:
        rtt.add(value)
    before_ns = rtt.rto_ns
    for count in range(1, missing + 1):
        rtt.on_timeout()
        assert rtt.rto_ns == min(10_000 * MS, before_ns * 2**count)
    rtt.add(values[-1], resent=True)
    assert rtt.rto_ns == min(10_000 * MS, before_ns * 2**missing)
    rtt.add(values[-1])
    assert rtt.rto_ns <= 10_000 * MS


@given(rtts, st.integers(0, 1_000 * MS))
def test_a_longer_last_round_trip_than_the_smoothed_one_never_shortens_the_wait(values, more_ns):
    shorter, longer = RttEstimator(), RttEstimator()
    for value in values:
        shorter.add(value)
        longer.add(value)
    over_ns = shorter.srtt_ns + 1
    shorter.add(over_ns)
    longer.add(over_ns + more_ns)
    assert longer.rto_ns >= shorter.rto_ns


def test_a_round_trip_leaves_out_the_work_of_the_worker():
    timing = Timing(received_ns=123, queue_us=1000, decode_us=2000, run_us=3000)
    assert transport_rtt_ns(sent_ns=0, received_ns=10 * MS, timing=timing) == 4 * MS
    assert transport_rtt_ns(sent_ns=0, received_ns=1 * MS, timing=timing) == 0
