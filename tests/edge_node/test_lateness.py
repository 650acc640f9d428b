"""How late a host woke lately, and what that does to the moment at which a frame is answered from memory."""

from edge_bench import MS, Bench, hands_at

from edge_node.accelerator import Release
from edge_node.device_class import DEVICE_CLASSES
from edge_node.hedge import HedgeMargins, carry_at_ns
from edge_node.lateness import Lateness
from edge_node.outcome import Outcome


def test_the_worst_of_the_newest_wakings_is_feared_at_once_and_soon_no_more():
    late = Lateness()
    late.add(8 * MS)
    assert late.recent_ns == 8 * MS
    for _ in range(45):
        late.add(MS // 10)
    assert late.recent_ns <= 4 * MS
    for _ in range(120):  # a second or so
        late.add(MS // 10)
    assert late.recent_ns < MS


def test_wakings_that_are_always_late_stay_feared():
    late = Lateness()
    for _ in range(500):
        late.add(3 * MS)
    assert late.recent_ns == 3 * MS


def test_a_held_result_is_waited_for_until_so_near_the_deadline_as_this_host_is_prompt():
    margins = HedgeMargins(held_ns=2, carry_ns=10, most_carry_ns=40)

    def waits_until(budget, late):
        return carry_at_ns(deadline_ns=100, budget_ns=budget, lateness_ns=late, margins=margins, held=True)

    assert waits_until(80, 0) == 98
    assert waits_until(80, 5) == 95
    assert waits_until(80, 90) == 60, "never before half of the budget"


class Chip:
    """Gives every result at a time that the test names."""

    device = DEVICE_CLASSES["xr-fast"]

    def __init__(self):
        self.at_ns = 0

    def release(self, portions, *, thermal, started_ns, ended_ns):
        return Release(at_ns=self.at_ns, host_late=False, device_ns=self.at_ns - started_ns)


def outcome_of_a_run_of(run_ms, *, late_ms):
    """A frame of 33 ms whose own run takes so long, on a host that woke so late a moment ago."""
    b, chip = Bench(deadline_ms=33), Chip()
    b.perception._accelerator = chip
    b.journey.answers.prime(hands_at(0.5), captured_ns=0, model="m")
    b.journey.lateness.add(round(late_ms * MS))
    frame_id = b.frame()
    b.wait(1)
    chip.at_ns = round(run_ms * MS)
    b.local_done()
    b.wait(33)
    return b.answers[frame_id].outcome


def test_a_result_that_a_late_waking_may_spoil_is_not_waited_for():
    assert outcome_of_a_run_of(32, late_ms=0.1) is Outcome.FRESH_ON_TIME
    assert outcome_of_a_run_of(32, late_ms=2) is Outcome.CARRIED_ON_TIME
    assert outcome_of_a_run_of(30.5, late_ms=2) is Outcome.FRESH_ON_TIME
    assert outcome_of_a_run_of(32.9, late_ms=0) is Outcome.CARRIED_ON_TIME, "taking it in needs a moment too"
