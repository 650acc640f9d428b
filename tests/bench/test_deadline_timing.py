"""The drive that times the journey: the same course every time, every frame answered, only calls into it counted."""

import random

from bench.deadline_drive import PARTS, Drive
from bench.deadline_timing import compared, in_pairs


def test_a_driven_journey_answers_every_frame_the_same_way_each_time():
    runs = []
    for _ in range(2):
        drive = Drive(policy="rtt-threshold", deadline_ms=33.0, seed=4)
        spent = drive.run(90)
        assert len(spent) == 90
        assert all(set(frame) == set(PARTS) for frame in spent)
        assert min(sum(frame.values()) for frame in spent) > 0
        runs.append((drive.calls, drive.outcomes()))
    assert runs[0] == runs[1]
    assert sum(runs[0][1].values()) >= 85  # the last ones are still open
    assert not any(name.startswith(("late", "none")) for name in runs[0][1])


def test_blocks_are_compared_by_the_frames_scheduled_in_them():
    frames = [{"scheduled_ns": at, "latency_ms": 26.0 if at < 10 else 20.0} for at in range(20)]
    row = compared(frames, [True, False], [(0, 10), (10, 20)])
    assert row["ratio_p99"] == 1.3
    assert row["frames"] == {"saturated": 10, "idle": 10}


def test_every_pair_has_one_block_of_each_kind():
    kinds = in_pairs(8, rng=random.Random(1))
    assert all(sorted(kinds[at : at + 2]) == [False, True] for at in range(0, 16, 2))
    assert len({tuple(kinds[at : at + 2]) for at in range(0, 16, 2)}) == 2
