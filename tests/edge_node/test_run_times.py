"""What runs take, usually and at worst, and when what was measured says nothing any more."""

import random

from edge_node.device_class import Thermal
from edge_node.estimates.local_times import ENOUGH
from edge_node.jobs import JobKind
from edge_node.run_times import FEW, WARM_UP, RunTimes

MS = 1_000_000
COOL = Thermal.NOMINAL
PRIOR_MS = 40


def times_after(*durations_ms, regions=1, kind=JobKind.WHOLE, encoding=True):
    times = RunTimes(prior_ns=PRIOR_MS * MS)
    feed(times, *durations_ms, regions=regions, kind=kind, encoding=encoding)
    return times


def feed(times, *durations_ms, regions=1, kind=JobKind.WHOLE, encoding=True):
    for duration_ms in durations_ms:
        times.add(kind, round(duration_ms * MS), regions=regions, thermal=COOL, encoding=encoding)


def worst_ms(times, regions=1):
    return times.worst_ns(JobKind.WHOLE, thermal=COOL, regions=regions) / MS


def test_the_first_runs_of_an_engine_stand_in_only_until_a_later_one_has_ended():
    times = times_after(*[300] * WARM_UP)
    assert worst_ms(times) == 375
    feed(times, *[8] * FEW)
    assert worst_ms(times) == 10
    assert times.usual_ns(JobKind.WHOLE, 1.0, regions=1) == 8 * MS
    times.forget()
    feed(times, 300)
    assert worst_ms(times) == 375, "another engine has a warm-up of its own"


def test_with_few_runs_the_prior_is_still_taken_for_possible():
    times = times_after(*[8] * (FEW - 1 + WARM_UP))
    assert worst_ms(times) == 1.25 * PRIOR_MS
    feed(times, 8)
    assert worst_ms(times) == 10


def test_runs_that_look_for_palms_say_nothing_of_those_that_follow_a_hand():
    times = times_after(*[8] * 200, regions=1)
    feed(times, *[20] * 200, regions=0)
    assert (worst_ms(times, 1), worst_ms(times, 0)) == (10, 25)
    assert times.newest(regions=1).share_below(12 * MS) == 1.0
    assert times.newest(regions=0).share_below(12 * MS) == 0.0
    assert 0 < times.newest(regions=2).share_below(12 * MS) < 1, "never seen: as whole runs of all kinds went"


def test_one_slow_run_does_not_count_for_ever_once_enough_ran_while_frames_left():
    rng = random.Random(1)
    times = times_after(*[8] * 200)
    feed(times, 30)
    assert worst_ms(times) == 37.5
    feed(times, *[rng.uniform(7, 9) for _ in range(ENOUGH)])
    assert worst_ms(times) < 9.1


def test_a_part_takes_its_share_of_a_whole_run_until_it_was_measured():
    times = times_after(*[10] * 200)
    assert times.worst_ns(JobKind.TAIL, thermal=COOL, share=0.1) == 5 * MS, "no region: never ran so"
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.5) == 5 * MS
    feed(times, *[2] * 5, kind=JobKind.HEAD)
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.5) == 2 * MS
    times.forget_parts()
    assert times.usual_ns(JobKind.HEAD, 0.5, share=0.5) == 5 * MS
