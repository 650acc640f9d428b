from cloud_worker.run_times import FEWEST, MEMORY_NS, RunTimes, kind_of
from schemas.messages import Frame, Part, RoiBox, Task
from tests.cloud_worker.builders import part, request

MS, S = 1_000_000, 1_000_000_000
PICTURE, PART = (Task.HANDS, Frame, 0), (Task.HANDS, Part, 0)


def test_a_task_that_never_ran_has_no_duration():
    assert RunTimes().at(0.95, kind=PICTURE, now_ns=0) is None


def test_the_95th_percentile_is_above_most_runs_and_below_the_rare_ones():
    times = RunTimes(limit=100)
    for n in range(1, 101):
        times.add(n * MS, kind=PICTURE, now_ns=0)
    assert times.at(0.95, kind=PICTURE, now_ns=0) == 95 * MS


def test_old_runs_count_less_than_new_ones():
    times = RunTimes()
    for now_ns, took_ns in ((0, 100 * MS), (2 * S, 5 * MS)):
        for _ in range(10):
            times.add(took_ns, kind=PICTURE, now_ns=now_ns)
    assert times.at(0.75, kind=PICTURE, now_ns=2 * S) == 5 * MS


def test_a_cold_first_run_closes_no_worker():
    times = RunTimes()
    for _ in range(FEWEST - 1):
        times.add(500 * MS, kind=PICTURE, now_ns=0)
    assert times.at(0.95, kind=PICTURE, now_ns=0) is None


def test_a_stall_is_forgotten_although_nothing_ran_since():
    times = RunTimes()
    for _ in range(50):
        times.add(500 * MS, kind=PICTURE, now_ns=0)
    assert times.at(0.95, kind=PICTURE, now_ns=MEMORY_NS - 1) == 500 * MS
    assert times.at(0.95, kind=PICTURE, now_ns=MEMORY_NS) is None


def test_the_runs_of_a_part_say_nothing_of_a_picture():
    times = RunTimes()
    for _ in range(FEWEST):
        times.add(2 * MS, kind=PART, now_ns=0)
    assert times.at(0.95, kind=PART, now_ns=0) == 2 * MS
    assert times.at(0.95, kind=PICTURE, now_ns=0) is None


def test_a_newer_run_is_heard_of_at_the_next_question():
    times = RunTimes(limit=FEWEST)
    for took_ns in (5 * MS, 9 * MS):
        for _ in range(FEWEST):
            times.add(took_ns, kind=PICTURE, now_ns=0)
        assert times.at(0.95, kind=PICTURE, now_ns=0) == took_ns


def test_a_picture_whose_hands_are_known_is_another_kind_and_any_number_of_them_makes_few_kinds():
    box = RoiBox(center_x=0.5, center_y=0.5, width=0.1, height=0.1, rotation_rad=0.0)
    kinds = [kind_of(request(rois=(box,) * regions)) for regions in range(9)]
    assert kinds[0] == PICTURE
    assert len(set(kinds)) == 5
    assert kind_of(request(message=part())) == PART
