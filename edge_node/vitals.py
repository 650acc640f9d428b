"""Battery and heat: a small physical model for simulated classes (pure), this machine's sensors else.

``HeatModel`` steps by durations passed in and reads nothing. ``read_host`` is the only shell here; where a
machine has no battery or no sensor it says full and 0 °C.
"""

import math
from dataclasses import dataclass

import psutil

from edge_node.device_class import Heat, Thermal


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a headset's own body says."""

    battery_fraction: float
    temperature_c: float
    thermal: Thermal


class HeatModel:
    """One thermal mass and one battery; warms with work, throttles with hysteresis."""

    def __init__(self, heat: Heat) -> None:
        self._heat = heat
        self._temperature_c = heat.ambient_c + heat.idle_w * heat.c_per_w
        self._battery_j = heat.battery_j
        self._thermal = Thermal.NOMINAL

    def step(self, *, elapsed_s: float, busy_fraction: float, radio_fraction: float) -> Vitals:
        """Advance by ``elapsed_s`` in which the chip and the radio were busy for these fractions."""
        heat = self._heat
        power_w = heat.idle_w + busy_fraction * heat.busy_w + radio_fraction * heat.radio_w
        target_c = heat.ambient_c + power_w * heat.c_per_w
        kept = math.exp(-elapsed_s / heat.tau_s)
        self._temperature_c = target_c + (self._temperature_c - target_c) * kept
        self._battery_j = max(0.0, self._battery_j - power_w * elapsed_s)
        if self._temperature_c >= heat.throttle_c:
            self._thermal = Thermal.THROTTLED
        elif self._temperature_c <= heat.recover_c:
            self._thermal = Thermal.NOMINAL
        return self.now

    @property
    def now(self) -> Vitals:
        """The state reached by the last step."""
        return Vitals(
            battery_fraction=self._battery_j / self._heat.battery_j,
            temperature_c=self._temperature_c,
            thermal=self._thermal,
        )


def read_host() -> Vitals:
    """Battery and hottest sensor of the machine we run on."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    hottest_c = max((row.current for rows in sensors.values() for row in rows), default=0.0)
    return Vitals(
        battery_fraction=1.0 if battery is None else battery.percent / 100,
        temperature_c=float(hottest_c),
        thermal=Thermal.NOMINAL,
    )
