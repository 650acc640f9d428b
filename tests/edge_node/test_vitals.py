"""Heat that is foreseen, and heat that Linux tells of."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.device_class import DEVICE_CLASSES, Thermal
from edge_node.sysfs import is_throttled, zone_temperatures_c
from edge_node.vitals import HeatModel, read_host

HEAT = DEVICE_CLASSES["xr-fast"].heat


@given(st.floats(0.5, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 300.0))
def test_a_headset_throttles_when_it_was_foreseen_to(busy, radio, warm_s):
    model = HeatModel(HEAT)
    model.step(elapsed_s=warm_s, busy_fraction=0.5, radio_fraction=0.5)
    foreseen_s = model.seconds_to_throttle(busy, radio)
    if foreseen_s is None:
        later = model.step(elapsed_s=1e6, busy_fraction=busy, radio_fraction=radio)
        assert later.thermal is Thermal.NOMINAL
        assert later.throttle_in_s is None
        return
    before = model.step(elapsed_s=0.99 * foreseen_s, busy_fraction=busy, radio_fraction=radio)
    assert before.thermal is Thermal.NOMINAL
    assert before.throttle_in_s == pytest.approx(0.01 * foreseen_s, abs=1e-6)
    after = model.step(elapsed_s=0.02 * foreseen_s + 1e-6, busy_fraction=busy, radio_fraction=radio)
    assert after.thermal is Thermal.THROTTLED
    assert after.throttle_in_s == 0.0


def test_more_work_throttles_sooner_and_rest_never():
    model = HeatModel(HEAT)
    assert model.seconds_to_throttle(0.0, 0.0) is None
    assert model.now.throttle_in_s is None
    assert model.seconds_to_throttle(1.0, 1.0) < model.seconds_to_throttle(1.0, 0.0)


def write(folder: Path, **files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n", encoding="ascii")


def kernel(root: Path, *, temp, trips=(("passive", 95_000), ("active", 60_000)), allowed=3_000_000):
    files = {"temp": temp}
    for index, (kind, milli_c) in enumerate(trips):
        files |= {f"trip_point_{index}_type": kind, f"trip_point_{index}_temp": milli_c}
    write(root / "class/thermal/thermal_zone0", **files)
    write(root / "devices/system/cpu/cpufreq/policy0", scaling_max_freq=allowed, cpuinfo_max_freq=3_000_000)
    return root


@pytest.mark.parametrize(
    ("temp", "allowed", "throttled"),
    [
        (50_000, 3_000_000, False),
        (50_000, 1_200_000, False),  # slow, but by somebody's wish
        (70_000, 3_000_000, False),  # a fan's trip point
        (90_000, 3_000_000, False),
        (90_000, 1_200_000, True),
        (95_000, 3_000_000, True),
    ],
)
def test_a_hot_chip_is_told_from_a_slow_one(tmp_path, temp, allowed, throttled):
    sys = kernel(tmp_path / "sys", temp=temp, allowed=allowed)
    assert is_throttled(sys) is throttled
    vitals = read_host(sys=sys)
    assert vitals.thermal is (Thermal.THROTTLED if throttled else Thermal.NOMINAL)
    assert vitals.throttle_in_s == (0.0 if throttled else None)
    assert vitals.temperature_c >= temp / 1000


def test_without_trip_points_the_frequency_alone_tells(tmp_path):
    assert is_throttled(kernel(tmp_path / "a", temp=50_000, trips=(), allowed=1_200_000))
    assert not is_throttled(kernel(tmp_path / "b", temp=50_000, trips=()))


@pytest.mark.parametrize("temp", ["", "nonsense", "-274000", "2147483647"])
def test_a_sensor_that_says_nonsense_is_not_heard(tmp_path, temp):
    sys = kernel(tmp_path / "sys", temp=temp)
    assert zone_temperatures_c(sys) == []
    assert not is_throttled(sys)


def test_a_system_that_shows_nothing_is_not_hot(tmp_path):
    assert zone_temperatures_c(tmp_path) == []
    assert not is_throttled(tmp_path)
