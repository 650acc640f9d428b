"""The real intake against more load than its slots can answer, on a virtual clock."""

import pytest

from tests.cloud_worker.overload import Load, S, Seen, overload

HEADSETS, SECONDS = 30, 20.0
TWICE_MS = 20.0 * HEADSETS / 2  # a period at which 30 headsets ask for twice what one slot of 20 ms can run


def headsets(**load: float) -> dict[str, Load]:
    return {f"h-{n}": Load(**{"period_ms": TWICE_MS, **load}) for n in range(HEADSETS)}


def busy_part(seen: Seen, *, slots: int = 1) -> float:
    return sum(seen.run_ns.values()) / (SECONDS - 1) / S / slots


@pytest.mark.parametrize("budget_ms", [100.0, 150.0, 300.0])
def test_at_twice_its_capacity_a_worker_stays_busy_and_shares_itself_out(budget_ms):
    load = headsets(budget_ms=budget_ms)
    seen = overload(load, seconds=SECONDS)
    assert busy_part(seen) >= 0.95
    assert seen.jain(load) >= 0.98
    assert seen.begun_expired == 0


def test_who_is_turned_away_hears_it_at_once():
    seen = overload(headsets(), seconds=SECONDS)
    told_late = sum(waited_ns > 0 for waited_ns in seen.refused_waited_ns)
    assert told_late <= 0.005 * len(seen.refused_waited_ns)
    assert all(0 < retry_ms < 300 for retry_ms in seen.retries_ms)


def test_headsets_in_lockstep_with_the_runs_are_not_turned_away_for_ever():
    load = headsets(jitter=0.0)
    seen = overload(load, seconds=SECONDS)
    assert seen.jain(load) >= 0.85
    assert max(seen.longest_gap_ns.values()) < 6 * S
    assert len(seen.ran) == HEADSETS


def test_a_headset_that_sends_twice_as_often_gets_no_larger_share_of_a_full_worker():
    load = {f"h-{n}": Load(period_ms=200 if n % 2 else 400) for n in range(HEADSETS)}
    assert overload(load, seconds=SECONDS).jain(load) >= 0.98


def test_a_headset_that_asks_for_less_than_its_share_gets_all_of_it():
    load = {f"h-{n}": Load(period_ms=2000 if n < 10 else 200) for n in range(HEADSETS)}
    seen = overload(load, seconds=SECONDS)
    modest = [seen.ran[f"h-{n}"] for n in range(10)]
    assert sum(modest) >= 0.8 * 10 * (SECONDS - 1) / 2


def test_headsets_with_long_runs_get_no_larger_share_of_the_time():
    load = {f"h-{n}": Load(period_ms=450, run_ms=40 if n < 10 else 20, spread=0.05) for n in range(HEADSETS)}
    seen = overload(load, seconds=SECONDS)
    assert seen.jain(load, of=seen.run_ns) >= 0.95


def test_headsets_that_send_faster_than_they_are_answered_all_get_fresh_answers():
    load = headsets(period_ms=33.0)
    seen = overload(load, seconds=SECONDS, slots=2)
    assert busy_part(seen, slots=2) >= 0.98
    assert seen.jain(load) >= 0.98
    assert seen.begun_expired == 0


def test_a_worker_with_room_turns_hardly_anybody_away():
    seen = overload(headsets(period_ms=3 * TWICE_MS), seconds=SECONDS)
    assert len(seen.refused_waited_ns) <= 0.02 * sum(seen.ran.values())


def test_what_was_begun_ends_in_time():
    seen = overload(headsets(spread=0.4), seconds=SECONDS)
    assert seen.ended_late <= 0.02 * sum(seen.ran.values())
    assert min(seen.ran.values()) > 0
