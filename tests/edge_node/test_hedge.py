"""When a run must begin so that it is in nobody's way."""

from edge_node.hedge import clear_of_captures_ns


def cleared(latest_ms, *, local_ms, newest_ms=0, interval_ms=33):
    return clear_of_captures_ns(
        latest_ms, local_ns=local_ms, newest_capture_ns=newest_ms, interval_ns=interval_ms
    )


def test_a_run_that_ends_before_the_next_capture_begins_at_the_latest_moment():
    assert cleared(20, local_ms=9) == 20
    assert cleared(24, local_ms=9) == 24


def test_a_run_that_would_hold_the_slot_at_the_next_capture_begins_earlier():
    assert cleared(30, local_ms=9) == 24
    assert cleared(63, local_ms=9) == 57


def test_a_run_that_would_find_the_slot_taken_by_a_newer_frame_begins_before_that():
    assert cleared(36, local_ms=9) == 24
    assert cleared(3, local_ms=9) == -9, "the newest frame is computed at its capture too"
    assert cleared(42, local_ms=9) == 42


def test_captures_before_the_newest_are_over():
    assert cleared(-4, local_ms=9) == -9
    assert cleared(-30, local_ms=9) == -30


def test_runs_that_leave_no_time_between_captures_cannot_be_cleared():
    assert cleared(30, local_ms=33) == 30
    assert cleared(30, local_ms=9, interval_ms=0) == 30
