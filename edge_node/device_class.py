"""Vocabulary: device classes, rows of how long a chip takes per part of the hand task.

A simulated class is a table of quantiles of durations per (segment, thermal state). They are durations of
their own: a time measured on this machine is never multiplied. ``host`` simulates nothing.
"""

from dataclasses import dataclass, field
from enum import Enum


class Segment(str, Enum):
    """A part of the task that occupies the accelerator."""

    PALM = "palm"
    LANDMARK_FLOAT = "landmark-float"
    LANDMARK_INT8 = "landmark-int8"


@dataclass(frozen=True, slots=True)
class Portion:
    """A segment, or the ``share`` of it that a part of its model takes."""

    segment: Segment
    share: float = 1.0


class Thermal(str, Enum):
    """How hot the chip is: throttled means it protects itself by running slower."""

    NOMINAL = "nominal"
    THROTTLED = "throttled"


FRACTIONS = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
Quantile = tuple[float, ...]  # milliseconds at FRACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A chip's heat and battery as one thermal mass. Power in watts, capacity in joules."""

    idle_w: float
    busy_w: float
    radio_w: float
    battery_j: float
    ambient_c: float
    c_per_w: float  # steady temperature rise per watt
    tau_s: float  # time constant of warming and cooling
    throttle_c: float
    recover_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """One kind of headset."""

    name: str
    simulated: bool
    durations_ms: dict[tuple[Segment, Thermal], Quantile] = field(default_factory=dict)
    heat: Heat | None = None


S, T = Segment, Thermal

_XR_HEAT = Heat(
    idle_w=1.1,
    busy_w=3.4,
    radio_w=0.7,
    battery_j=57_000.0,  # 16 Wh, a typical headset battery
    ambient_c=24.0,
    c_per_w=7.0,
    tau_s=240.0,
    throttle_c=46.0,
    recover_c=43.0,
)

DEVICE_CLASSES: dict[str, DeviceClass] = {
    "host": DeviceClass(name="host", simulated=False),
    "xr-slow": DeviceClass(
        name="xr-slow",
        simulated=True,
        heat=_XR_HEAT,
        durations_ms={
            (S.PALM, T.NOMINAL): (18.6, 19.1, 20.0, 22.4, 26.0, 30.0),
            (S.LANDMARK_FLOAT, T.NOMINAL): (23.2, 23.9, 25.0, 28.0, 32.5, 37.5),
            (S.LANDMARK_INT8, T.NOMINAL): (16.7, 17.2, 18.0, 20.2, 23.4, 27.0),
            (S.PALM, T.THROTTLED): (26.5, 27.2, 28.5, 31.9, 37.1, 42.8),
            (S.LANDMARK_FLOAT, T.THROTTLED): (33.5, 34.4, 36.0, 40.3, 46.8, 54.0),
            (S.LANDMARK_INT8, T.THROTTLED): (24.2, 24.8, 26.0, 29.1, 33.8, 39.0),
        },
    ),
    "xr-fast": DeviceClass(
        name="xr-fast",
        simulated=True,
        heat=_XR_HEAT,
        durations_ms={
            (S.PALM, T.NOMINAL): (8.3, 8.6, 9.0, 10.1, 11.7, 13.5),
            (S.LANDMARK_FLOAT, T.NOMINAL): (13.0, 13.3, 14.0, 15.6, 18.2, 21.0),
            (S.LANDMARK_INT8, T.NOMINAL): (5.5, 5.7, 6.0, 6.7, 7.8, 9.0),
            (S.PALM, T.THROTTLED): (11.9, 12.3, 12.9, 14.4, 16.8, 19.3),
            (S.LANDMARK_FLOAT, T.THROTTLED): (18.5, 19.0, 20.0, 22.4, 26.0, 30.0),
            (S.LANDMARK_INT8, T.THROTTLED): (7.9, 8.2, 8.6, 9.6, 11.2, 12.9),
        },
    ),
}
