"""Battery and heat: a small physical model for simulated classes (pure), this machine's sensors else.

``HeatModel`` steps by durations passed in and reads nothing. ``read_host`` is the only shell here; where a
machine has no battery or no sensor it says full and 0 °C. Whether the system slows it down is read in ``sysfs``.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import psutil

from edge_node.device_class import Heat, Thermal
from edge_node.sysfs import SYS, is_throttled, zone_temperatures_c


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a headset's own body says.

    ``throttle_in_s``: how long until it throttles if it goes on like this, 0 while it does, None where it never will
    or nobody can say.
    """

    battery_fraction: float
    temperature_c: float
    thermal: Thermal
    throttle_in_s: float | None = None


class HeatModel:
    """One thermal mass and one battery; warms with work, throttles with hysteresis."""

    def __init__(self, heat: Heat) -> None:
        self._heat = heat
        self._temperature_c = heat.ambient_c + heat.idle_w * heat.c_per_w
        self._battery_j = heat.battery_j
        self._thermal = Thermal.NOMINAL
        self._busy_fraction = 0.0
        self._radio_fraction = 0.0

    def step(self, *, elapsed_s: float, busy_fraction: float, radio_fraction: float) -> Vitals:
        """Advance by ``elapsed_s`` in which the chip and the radio were busy for these fractions."""
        heat = self._heat
        self._busy_fraction, self._radio_fraction = busy_fraction, radio_fraction
        power_w = self._power_w(busy_fraction, radio_fraction)
        target_c = heat.ambient_c + power_w * heat.c_per_w
        kept = math.exp(-elapsed_s / heat.tau_s)
        self._temperature_c = target_c + (self._temperature_c - target_c) * kept
        self._battery_j = max(0.0, self._battery_j - power_w * elapsed_s)
        if self._temperature_c >= heat.throttle_c:
            self._thermal = Thermal.THROTTLED
        elif self._temperature_c <= heat.recover_c:
            self._thermal = Thermal.NOMINAL
        return self.now

    def seconds_to_throttle(self, busy_fraction: float, radio_fraction: float) -> float | None:
        """After how long of such work the chip throttles: 0 where it does already, None where it never will."""
        heat = self._heat
        if self._thermal is Thermal.THROTTLED:
            return 0.0
        target_c = heat.ambient_c + self._power_w(busy_fraction, radio_fraction) * heat.c_per_w
        if target_c <= heat.throttle_c:
            return None
        return heat.tau_s * math.log((target_c - self._temperature_c) / (target_c - heat.throttle_c))

    @property
    def now(self) -> Vitals:
        """The state reached by the last step; the forecast is for going on as in it."""
        return Vitals(
            battery_fraction=self._battery_j / self._heat.battery_j,
            temperature_c=self._temperature_c,
            thermal=self._thermal,
            throttle_in_s=self.seconds_to_throttle(self._busy_fraction, self._radio_fraction),
        )

    def _power_w(self, busy_fraction: float, radio_fraction: float) -> float:
        heat = self._heat
        return heat.idle_w + busy_fraction * heat.busy_w + radio_fraction * heat.radio_w


def read_host(*, sys: Path = SYS) -> Vitals:
    """Battery and hottest sensor of the machine we run on, and whether its system slows it down."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    chips_c = [float(row.current) for rows in sensors.values() for row in rows]
    throttled = is_throttled(sys)
    return Vitals(
        battery_fraction=1.0 if battery is None else battery.percent / 100,
        temperature_c=max((*chips_c, *zone_temperatures_c(sys)), default=0.0),
        thermal=Thermal.THROTTLED if throttled else Thermal.NOMINAL,
        throttle_in_s=0.0 if throttled else None,
    )
