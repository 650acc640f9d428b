"""What a headset knows of its runs after it was started again."""

import random
from dataclasses import replace

import pytest
from edge_bench import ENGINE, MS, Starter

from edge_node.accelerator import Accelerator
from edge_node.device_class import DEVICE_CLASSES, Thermal
from edge_node.estimates.local_times import ENOUGH
from edge_node.jobs import JobKind
from edge_node.kept_times import MOST_ENGINES
from edge_node.perceive import Perception
from edge_node.run_times import WARM_UP
from edge_node.times_file import EVERY_S, TimesFile


def started(path, *, device_class="xr-fast", engine=ENGINE):
    """A headset's slot as it is after a start."""
    accelerator = Accelerator(DEVICE_CLASSES[device_class], rng=random.Random(1))
    perception = Perception(Starter(), accelerator=accelerator, prior_ns=40 * MS)
    perception.watch(engine)
    return perception, TimesFile(path, perception)


def ran(perception, duration_ms, *, runs=1, kind=JobKind.WHOLE):
    for _ in range(runs):
        perception.times.add(kind, round(duration_ms * MS), regions=1, thermal=Thermal.NOMINAL, encoding=True)


def worst_ms(perception):
    return perception.times.worst_ns(JobKind.WHOLE, thermal=Thermal.NOMINAL, regions=1) / MS


@pytest.fixture
def path(tmp_path):
    """The file of a headset that ran enough, with one run in two thousand that took long."""
    file = tmp_path / "run-times.json"
    perception, kept = started(file)
    for number in range(ENOUGH + WARM_UP):
        ran(perception, 30 if number % 2000 == 1999 else 8)
    assert worst_ms(perception) < 8.1
    kept.close()
    return file


def test_the_slowest_of_thousands_of_runs_is_known_after_a_start_and_after_the_warm_up(path):
    perception, _ = started(path)
    assert 8 <= worst_ms(perception) < 8.1
    ran(perception, 200, runs=WARM_UP)
    ran(perception, 8)
    assert 8 <= worst_ms(perception) < 8.1
    assert perception.times.usual_ns(JobKind.WHOLE, 1.0, regions=1) == 8 * MS
    ran(perception, 20, runs=20)
    assert worst_ms(perception) >= 20, "a chip that became slower is believed soon"


def test_each_engine_has_its_own_runs_and_finds_them_again(path):
    other = replace(ENGINE, digest="b" * 64)
    perception, _ = started(path, engine=other)
    assert worst_ms(perception) == 50
    ran(perception, 16, runs=100)
    perception.watch(ENGINE)
    assert worst_ms(perception) < 8.1
    perception.watch(other)
    assert worst_ms(perception) == 20


def test_what_another_device_class_took_says_nothing(path):
    perception, _ = started(path, device_class="xr-slow")
    assert worst_ms(perception) == 50


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"device_class": "xr-fast", "engines": [{"rows": 1}]}'])
def test_a_damaged_file_is_set_aside_and_all_begins_anew(path, content):
    path.write_bytes(content)
    perception, kept = started(path)
    assert worst_ms(perception) == 50
    assert path.with_suffix(".damaged").read_bytes() == content
    kept.close()
    assert started(path)[0].runs is not None


def test_the_file_stays_small_however_many_engines_ran(path):
    perception, kept = started(path)
    for number in range(3 * MOST_ENGINES):
        ran(perception, 8 + number / 10, runs=100)
        perception.watch(replace(ENGINE, digest=f"{number:064d}"))
    kept.close()
    assert path.stat().st_size < 20_000
    assert worst_ms(started(path)[0]) == 50, "the oldest gave way"


def test_parts_are_not_kept_because_another_placement_may_be_next(path):
    perception, kept = started(path)
    ran(perception, 3, runs=10, kind=JobKind.HEAD)
    kept.close()
    assert '"head"' not in path.read_text()


def test_what_was_learned_is_written_now_and_then_and_a_full_disk_stops_nothing(path):
    path.unlink()
    perception, kept = started(path)
    ran(perception, 9, runs=100)
    for _ in range(EVERY_S):
        kept.second()
    kept._writer.join()
    assert path.exists()
    path.unlink()
    path.mkdir()
    kept.close()
