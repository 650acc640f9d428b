from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.repeats import Repeats

A = ("h-1", bytes(16))


def test_the_second_copy_is_a_repeat_and_another_task_or_sender_is_not():
    repeats = Repeats()
    assert not repeats.is_repeat(A, (1, 7), now_ns=0)
    assert repeats.is_repeat(A, (1, 7), now_ns=0)
    assert not repeats.is_repeat(A, (2, 7), now_ns=0)
    assert not repeats.is_repeat(("h-2", bytes(16)), (1, 7), now_ns=0)
    assert not repeats.is_repeat(("h-1", b"n" * 16), (1, 7), now_ns=0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=300))
def test_memory_is_bounded_whatever_comes(arrivals):
    repeats = Repeats(senders=3, ids_per_sender=5)
    for sender, frame_id in arrivals:
        repeats.is_repeat((f"h-{sender}", bytes(16)), (1, frame_id), now_ns=0)
        assert len(repeats) <= 15


def test_a_sender_that_stays_silent_is_forgotten():
    repeats = Repeats(forget_ns=100)
    repeats.is_repeat(A, (1, 7), now_ns=0)
    repeats.is_repeat(("h-2", bytes(16)), (1, 7), now_ns=100)
    assert len(repeats) == 2
    repeats.is_repeat(("h-2", bytes(16)), (1, 8), now_ns=101)
    assert len(repeats) == 2
    assert not repeats.is_repeat(A, (1, 7), now_ns=102)
