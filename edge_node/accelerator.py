"""Pure core: a simulated device class as one serial accelerator that gives results when that chip would.

The job runs for real elsewhere; ``release`` says when its result may be used: at its start plus a duration
drawn from the class's table. Where the real run took longer than that, the result comes when it comes and
is flagged, so that a slow host never passes for a slow device unseen.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edge_node.device_class import FRACTIONS, DeviceClass, Portion, Quantile, Thermal

NS_PER_MS = 1_000_000


@dataclass(slots=True, kw_only=True)
class Release:
    """When a finished job's result may be used."""

    at_ns: int
    host_late: bool
    device_ns: int  # what the device takes for it, however long the host took


class Accelerator:
    """One device's chip. ``rng`` draws the durations."""

    def __init__(self, device: DeviceClass, *, rng: random.Random) -> None:
        self.device = device
        self._rng = rng

    def release(
        self, portions: Sequence[Portion], *, thermal: Thermal, started_ns: int, ended_ns: int
    ) -> Release:
        """When the result of a job of these portions, really run from start to end, may be used."""
        if not self.device.simulated:
            return Release(at_ns=ended_ns, host_late=False, device_ns=ended_ns - started_ns)
        table = self.device.durations_ms
        drawn_ms = 0.0
        for part in portions:
            drawn_ms += part.share * self._draw_ms(table[part.segment, thermal])
        due_ns = started_ns + round(drawn_ms * NS_PER_MS)
        return Release(
            at_ns=max(due_ns, ended_ns), host_late=ended_ns > due_ns, device_ns=due_ns - started_ns
        )

    def _draw_ms(self, quantiles: Quantile) -> float:
        return interpolate(quantiles, fraction=self._rng.random())


def interpolate(quantiles: Quantile, *, fraction: float) -> float:
    """The value at a fraction (0 to 1) of a distribution given at ``FRACTIONS``."""
    for index in range(1, len(FRACTIONS)):
        low, high = FRACTIONS[index - 1], FRACTIONS[index]
        if fraction <= high:
            share = (fraction - low) / (high - low)
            return quantiles[index - 1] + share * (quantiles[index] - quantiles[index - 1])
    return quantiles[-1]
