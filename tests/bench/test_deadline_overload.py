"""What the overload bench says of requests whose fate is written down here."""

import pytest

from bench.deadline_crowd import Asked, Pinged
from bench.deadline_overload import Cell
from bench.deadline_overload_judge import jain, judge

S, MS = 1_000_000_000, 1_000_000
NAMES = ["a", "b"]


def answered(device: str, at_s: float, *, begun_ms: int, ran_ms: int = 10, way_ms: int = 2) -> Asked:
    sent_ns = round(at_s * S)
    return Asked(
        device=device,
        sent_ns=sent_ns,
        budget_ns=100 * MS,
        heard_ns=sent_ns + (begun_ms + ran_ms + way_ms) * MS,
        replies=1,
        received_ns=sent_ns + MS,
        queue_ns=(begun_ms - 1) * MS,
        ran_ns=ran_ms * MS,
    )


def refused(device: str, at_s: float, *, after_ms: float) -> Asked:
    sent_ns = round(at_s * S)
    heard_ns = sent_ns + round(after_ms * MS)
    return Asked(
        device=device,
        sent_ns=sent_ns,
        budget_ns=100 * MS,
        heard_ns=heard_ns,
        replies=1,
        refusal="busy",
        queue_ns=heard_ns - sent_ns - 2 * MS,
    )


def crowd() -> list[Asked]:
    """Two seconds in which each headset gets every second frame answered, 10 a second together."""
    rows = [answered(NAMES[n // 2 % 2], 0.1 * n, begun_ms=5) for n in range(0, 31, 2)]
    return rows + [refused(NAMES[n // 2 % 2], 0.1 * n, after_ms=2) for n in range(1, 31, 2)]


# round trips of 2 ms
PINGS = [Pinged(sent_ns=round(0.1 * n * S), heard_ns=round(0.1 * n * S) + 2 * MS) for n in range(31)]


def judged(rows: list[Asked]) -> dict:
    return judge(rows, NAMES, capacity_per_s=5.0, memory=[100] * 10, pings=PINGS)


def test_a_good_cell_meets_every_aim():
    found = judged(crowd())
    assert (found["begun_expired"], found["unanswered"], found["answered_twice"]) == (0, 0, 0)
    assert found["goodput_over_capacity"] == pytest.approx(1.0, abs=0.15)
    assert found["jain"] > 0.99
    assert found["refused_within_rtt_p99"] == 1.0
    assert found["memory_growth"] == 1.0


def test_a_run_that_began_when_its_frame_was_over_is_counted():
    found = judged([*crowd(), answered("a", 2, begun_ms=101)])
    assert (found["begun_expired"], found["ended_expired"], found["heard_late"]) == (1, 1, 1)


def test_a_run_that_ended_too_late_is_no_goodput():
    assert judged([*crowd(), answered("a", 2, begun_ms=95)])["heard_late"] == 1


def test_a_request_without_a_reply_and_one_with_two_are_counted():
    silent = Asked(device="a", sent_ns=2 * S, budget_ns=MS)
    twice = answered("b", 2, begun_ms=5)
    twice.replies = 2
    found = judged([*crowd(), silent, twice])
    assert (found["unanswered"], found["answered_twice"]) == (1, 1)


def test_a_request_that_never_left_is_not_the_workers_fault():
    silent = Asked(device="a", sent_ns=2 * S, budget_ns=MS)
    assert (
        judge([*crowd(), silent], NAMES, capacity_per_s=5.0, memory=[], pings=[], unsent=1)["unanswered"] == 0
    )


def test_a_refusal_that_waited_is_not_within_an_rtt():
    assert judged([*crowd(), refused("a", 2, after_ms=50)])["refused_within_rtt_p99"] < 0.95


def test_memory_that_grows_is_seen():
    found = judge(crowd(), NAMES, capacity_per_s=5.0, memory=list(range(100, 200)), pings=[])
    assert found["memory_growth"] > 1.4


def test_jain_is_one_for_equal_shares_and_falls_to_one_in_n():
    assert jain([3, 3, 3]) == pytest.approx(1)
    assert jain([5, 0, 0, 0]) == pytest.approx(0.25)
    assert jain([0, 0]) == 0


def test_an_uneven_crowd_sends_as_much_as_an_even_one():
    names = [f"h-{n}" for n in range(30)]
    for cell in (Cell(name="even"), Cell(name="uneven", of=2, times=2.0)):
        periods_s = cell.periods_s(names, per_s=100.0)
        assert sum(1 / period_s for period_s in periods_s.values()) == pytest.approx(100)
    assert periods_s["h-1"] == pytest.approx(2 * periods_s["h-0"])
