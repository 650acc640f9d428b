from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.aging import Aging, AgingLimits

S = 1_000_000_000
A, B = ("h-1", bytes(16)), ("h-2", bytes(16))


def test_the_first_message_of_a_sender_has_lost_nothing():
    assert Aging().lost_ns(A, send_ns=5, received_ns=900 * S) == 0


def test_what_exceeds_the_smallest_difference_was_lost_on_the_way():
    aging = Aging()
    aging.lost_ns(A, send_ns=0, received_ns=1000)
    assert aging.lost_ns(A, send_ns=10 * 1000, received_ns=11 * 1000 + 70) == 70


def test_a_sender_ahead_of_our_clock_is_judged_like_any_other():
    aging = Aging()
    aging.lost_ns(A, send_ns=500 * S, received_ns=S)
    assert aging.lost_ns(A, send_ns=501 * S, received_ns=2 * S + 33) == 33


def test_frames_that_waited_out_a_ten_second_stall_are_seen_as_old():
    aging = Aging()
    for n in range(30):
        aging.lost_ns(A, send_ns=n * S // 30, received_ns=n * S // 30 + 100)
    assert aging.lost_ns(A, send_ns=S, received_ns=11 * S + 100) == 10 * S


def test_the_minimum_is_forgotten_after_the_window_so_that_clock_drift_does_not_pile_up():
    limits = AgingLimits(bucket_ns=S, buckets=3)
    aging = Aging(limits)
    aging.lost_ns(A, send_ns=0, received_ns=0)
    assert aging.lost_ns(A, send_ns=2 * S, received_ns=2 * S + 9) == 9
    assert aging.lost_ns(A, send_ns=9 * S, received_ns=9 * S + 9) == 0


def test_senders_do_not_share_a_clock_and_a_restart_is_another_sender():
    aging = Aging()
    aging.lost_ns(A, send_ns=0, received_ns=0)
    assert aging.lost_ns(B, send_ns=0, received_ns=500) == 0
    assert aging.lost_ns(("h-1", b"x" * 16), send_ns=0, received_ns=900) == 0


def test_invented_senders_do_not_fill_the_memory():
    aging = Aging(AgingLimits(senders=8))
    for n in range(100):
        aging.lost_ns((f"h-{n}", bytes(16)), send_ns=0, received_ns=0)
    assert len(aging) == 8


def test_a_sender_that_stays_silent_for_a_window_is_forgotten():
    aging = Aging(AgingLimits(bucket_ns=S, buckets=3))
    aging.lost_ns(A, send_ns=0, received_ns=0)
    aging.lost_ns(B, send_ns=0, received_ns=2 * S)
    assert len(aging) == 2
    aging.lost_ns(B, send_ns=0, received_ns=3 * S)
    assert len(aging) == 1


@given(
    st.lists(st.tuples(st.integers(0, 20 * S), st.integers(0, S)), min_size=1, max_size=60),
    st.integers(-(2**62), 2**62),
)
def test_the_clock_offset_never_matters_inside_the_window(sent, offset):
    sent = sorted(sent)
    plain, shifted = Aging(), Aging()
    for send_ns, way_ns in sent:
        received_ns = send_ns + way_ns
        lost = plain.lost_ns(A, send_ns=send_ns, received_ns=received_ns)
        assert lost >= 0
        assert shifted.lost_ns(A, send_ns=send_ns + offset, received_ns=received_ns) == lost
        assert lost <= way_ns
