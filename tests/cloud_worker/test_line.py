from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.line import Line, Place, Waiting
from tests.cloud_worker.builders import MS, request


def waits(device: str, *, left_ms: int = 1000, run_ms: int = 10) -> Waiting:
    return Waiting(request=request(device, left_ns=left_ms * MS), run_ns=run_ms * MS)


def line_of(*waiting: Waiting) -> Line:
    line = Line()
    for index, one in enumerate(waiting):
        line.insert(one, index=index)
    return line


def place(line: Line, newcomer: Waiting, **how: object) -> Place:
    return line.place_for(newcomer, free_ns=[0], now_ns=0, **how)


def test_a_newcomer_begins_after_all_who_wait():
    line = line_of(waits("a"), waits("b", run_ms=5))
    assert place(line, waits("new")) == Place(index=2, begin_ns=15 * MS, line_ns=15 * MS)
    assert line.place_for(waits("new"), free_ns=[7 * MS], now_ns=0) == Place(
        index=2, begin_ns=22 * MS, line_ns=22 * MS
    )


def test_more_slots_begin_earlier():
    line = line_of(waits("a"), waits("b"), waits("c"))
    assert line.place_for(waits("new"), free_ns=[0, 4 * MS], now_ns=0).begin_ns == 14 * MS


def test_who_would_be_late_at_the_end_goes_ahead_of_those_with_time_to_spare():
    line = line_of(waits("a"), waits("b"))
    assert place(line, waits("new", left_ms=22)) == Place(index=1, begin_ns=10 * MS, line_ns=20 * MS)
    assert place(line, waits("new", left_ms=12)) == Place(index=0, begin_ns=0, line_ns=20 * MS)


def test_nobody_is_passed_who_would_be_late_behind_the_newcomer():
    line = line_of(waits("a"), waits("b", left_ms=29))  # it begins at 10 and ends at 20
    assert place(line, waits("new", left_ms=25)) == Place(index=2, begin_ns=20 * MS, line_ns=20 * MS)


def test_who_is_due_more_goes_ahead_of_those_it_passes_and_no_further():
    line = line_of(waits("poor"), waits("rich"), waits("richer"))
    assert place(line, waits("new"), passes=lambda ahead: ahead.request.device != "poor").index == 1


def test_a_newer_request_gets_the_place_of_the_older():
    older, newer = waits("a"), waits("a", run_ms=3)
    line = line_of(older, waits("b"))
    line.replace(older, by=newer)
    assert line.of("a") is newer
    assert line.begin_ns(newer, free_ns=[MS]) == MS
    assert [line.pop().request.device, line.pop().request.device] == ["a", "b"]
    assert line.of("a") is None


def _in_time(line: Line) -> list[Waiting]:
    return [one for one in line if one.spare_ns(begin_ns=line.begin_ns(one, free_ns=[0, 0]), now_ns=0) > 0]


jobs = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20), st.booleans()), max_size=25)


@given(jobs)
def test_a_place_in_time_is_never_taken_away(script):
    line = Line()
    for number, (left_ms, run_ms, greedy) in enumerate(script):
        newcomer = waits(f"h-{number}", left_ms=left_ms, run_ms=run_ms)
        before = _in_time(line)
        found = line.place_for(newcomer, free_ns=[0, 0], now_ns=0, passes=lambda _, greedy=greedy: greedy)
        if newcomer.spare_ns(begin_ns=found.begin_ns, now_ns=0) <= 0:
            continue
        line.insert(newcomer, index=found.index)
        assert line.begin_ns(newcomer, free_ns=[0, 0]) == found.begin_ns
        assert _in_time(line) == list(line)
        assert len(line) == len(before) + 1
