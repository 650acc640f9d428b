"""What a frame costs in joules, per device class."""

import pytest

from edge_node.device_class import DEVICE_CLASSES
from edge_node.energy import POWERS

MS = 1_000_000


def test_every_device_class_has_a_row_and_those_with_a_heat_model_the_watts_of_it():
    assert POWERS.keys() == DEVICE_CLASSES.keys()
    for name, device in DEVICE_CLASSES.items():
        if device.heat is not None:
            assert (POWERS[name].busy_w, POWERS[name].awake_w) == (device.heat.busy_w, device.heat.radio_w)


def test_a_run_costs_watts_times_its_duration():
    power = POWERS["xr-slow"]
    assert power.run_j(500 * MS) == pytest.approx(power.busy_w / 2)


def test_the_radio_costs_for_each_byte_and_for_each_moment_it_is_awake():
    power = POWERS["xr-fast"]
    assert power.radio_j(payload_bytes=0, awake_ns=1000 * MS) == pytest.approx(power.awake_w)
    # one watt more at 100 Mbit/s
    assert power.radio_j(payload_bytes=12_500_000, awake_ns=0) == pytest.approx(1.0)
