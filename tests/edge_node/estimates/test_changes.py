"""When a level changed for good: false alarms and the delay of true ones."""

import random

import pytest

from edge_node.estimates.changes import ChangePoint

MS = 1_000_000


def noise(rng, *, median_ms, sigma):
    return round(rng.lognormvariate(0.0, sigma) * median_ms * MS)


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.4, 0.7])
def test_stationary_noise_rarely_alarms(sigma):
    rng, level = random.Random(1), ChangePoint()
    alarms = sum(level.add(noise(rng, median_ms=10, sigma=sigma)) for _ in range(20_000))
    assert alarms <= 10  # at 30 fps one a minute, at most


@pytest.mark.parametrize(("sigma", "within"), [(0.05, 8), (0.2, 10), (0.35, 20)])
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_doubled_or_halved_level_is_noticed_within_a_few_samples(sigma, within, factor):
    delays = []
    for seed in range(40):
        rng, level = random.Random(seed), ChangePoint()
        for _ in range(100):
            level.add(noise(rng, median_ms=10, sigma=sigma))
        after = (level.add(noise(rng, median_ms=10 * factor, sigma=sigma)) for _ in range(200))
        delays.append(next((count for count, alarm in enumerate(after, 1) if alarm), 200))
        assert 1 <= level.run <= delays[-1] + 12
    assert sorted(delays)[36] <= within  # nine of ten


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_what_is_kept_after_a_change_is_all_of_the_new_level(factor):
    for seed in range(40):
        rng, level = random.Random(seed), ChangePoint()
        for _ in range(100):
            level.add(noise(rng, median_ms=10, sigma=0.2))
        after = next(n for n in range(1, 99) if level.add(noise(rng, median_ms=10 * factor, sigma=0.2)))
        assert 1 <= level.run <= after


def test_a_single_stall_is_no_change():
    rng, level = random.Random(2), ChangePoint()
    for _ in range(100):
        level.add(noise(rng, median_ms=10, sigma=0.2))
    assert not level.add(10_000 * MS)


def test_two_losses_in_a_row_are_a_change_and_so_are_the_first_replies_after_an_outage():
    rng, level = random.Random(3), ChangePoint()
    for _ in range(100):
        level.add(noise(rng, median_ms=10, sigma=0.2))
    assert [level.add_loss() for _ in range(2)] == [False, True]
    for _ in range(300):
        level.add_loss()
    back = [level.add(noise(rng, median_ms=10, sigma=0.2)) for _ in range(4)]
    assert back.index(True) <= 3
    assert level.run <= 4


def test_a_link_that_always_loses_some_is_no_news():
    rng, level = random.Random(4), ChangePoint()
    alarms = 0
    for _ in range(20_000):
        lost = rng.random() < 0.05
        alarms += level.add_loss() if lost else level.add(noise(rng, median_ms=10, sigma=0.2))
    assert alarms <= 15
