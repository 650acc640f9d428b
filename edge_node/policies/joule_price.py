"""Pure core: what a joule counts, by charge and heat. Remembers heat until the headset has cooled.

A chip that is about to throttle makes every joule count more, up to ``HOT_FACTOR`` times, so that ways which heat less
win before it throttles. Once the frames are elsewhere the chip no longer says that it will throttle: without memory
they would be back at once. It has cooled when it said nothing for a minute and is ``COOLED_C`` below where it said so.
"""

from edge_node.device_class import Thermal
from edge_node.vitals import Vitals
from schemas.documents import SplitConfig

SOON_S = 60.0  # a chip that throttles within this time is hot
KEEPS_NS = 60_000_000_000  # so long heat is remembered at least
COOLED_C = 3.0
LOW_BATTERY_FACTOR = 2.0
HOT_FACTOR = 10.0


class JoulePrice:
    """The weight of one joule for one headset."""

    def __init__(self, config: SplitConfig) -> None:
        self._weight = config.weights.energy
        self._floor = config.battery_floor
        self._ceiling_c = config.heat_ceiling_c
        self._marked_ns = 0  # when and how warm it was when it last said that it is hot
        self._marked_c = 0.0
        self.heat = 0.0  # 0 cool, 1 throttled or above the ceiling
        self.scarce = False  # charge below the floor

    def at(self, vitals: Vitals | None, *, now_ns: int) -> float:
        """What a joule counts now; of a body nobody knows, what the operator wrote."""
        if vitals is None:
            return self._weight
        said = self._said(vitals)
        if said > 0:
            self._marked_ns, self._marked_c = now_ns, vitals.temperature_c
            self.heat = max(said, self.heat)
        elif self.heat and self._has_cooled(vitals, now_ns=now_ns):
            self.heat = 0.0
        self.scarce = vitals.battery_fraction < self._floor
        charge = LOW_BATTERY_FACTOR if self.scarce else 1.0
        return self._weight * charge * (1 + (HOT_FACTOR - 1) * self.heat)

    def _has_cooled(self, vitals: Vitals, *, now_ns: int) -> bool:
        """A machine without a sensor says 0 degrees, and has cooled when the minute is over."""
        cooler = vitals.temperature_c <= max(0.0, self._marked_c - COOLED_C)
        return cooler and now_ns - self._marked_ns >= KEEPS_NS

    def _said(self, vitals: Vitals) -> float:
        if vitals.thermal is Thermal.THROTTLED:
            return 1.0
        if self._ceiling_c is not None and vitals.temperature_c >= self._ceiling_c:
            return 1.0
        if vitals.throttle_in_s is None:
            return 0.0
        return max(0.0, 1 - vitals.throttle_in_s / SOON_S)
