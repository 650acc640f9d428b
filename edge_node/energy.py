"""Pure core: what a frame costs a headset in joules, beyond what the headset draws anyway. The energy model.

One row of watts per device class:

* the chip draws ``busy_w`` while a job runs on it: a run costs watts times its duration, a part of a model its share;
* a frame that leaves is encoded on the chip (``encode_ns``), keeps the radio awake at ``awake_w`` until its reply is
  here, and costs ``j_per_byte`` for each byte sent;
* a run that begins because the reply did not come in time costs what every run costs.

Where the figures come from. The watts of simulated classes are those of their heat model, so that heat and battery are
one story. ``j_per_byte`` is an assumption: a radio that draws one watt more while it sends, at 100 Mbit/s over the air.
(Phones of 2012 were measured at 283 mW per Mbit/s upwards, 28 times as much: Huang et al., A Close Examination of
Performance and Power Characteristics of 4G LTE Networks, MobiSys 2012.) ``encode_ns`` was measured: a JPEG of 640
pixels width at quality 80 takes 2 ms of one core. A ``host`` names no watts of its own: its ``busy_w`` is the
difference between a board that computes and one that offloads, 9.3 and 4.4 W. No display, camera or tracking: they
are the same on every way.
"""

from dataclasses import dataclass

from edge_node.device_class import DEVICE_CLASSES, DeviceClass

NS_PER_S = 1e9
MORE_WHILE_SENDING_W = 1.0
AIR_BITS_PER_S = 100e6
ENCODE_NS = 2_000_000
HOST_BUSY_W, HOST_AWAKE_W = 4.9, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What one device class draws."""

    busy_w: float
    awake_w: float
    j_per_byte: float = MORE_WHILE_SENDING_W * 8 / AIR_BITS_PER_S
    encode_ns: int = ENCODE_NS

    def run_j(self, duration_ns: int) -> float:
        """Of a job that takes the chip so long."""
        return self.busy_w * duration_ns / NS_PER_S

    def radio_j(self, *, payload_bytes: int, awake_ns: int) -> float:
        """Of so many bytes sent, and a reply awaited for so long."""
        return self.j_per_byte * payload_bytes + self.awake_w * awake_ns / NS_PER_S


def _power(device: DeviceClass) -> Power:
    if device.heat is None:
        return Power(busy_w=HOST_BUSY_W, awake_w=HOST_AWAKE_W)
    return Power(busy_w=device.heat.busy_w, awake_w=device.heat.radio_w)


POWERS: dict[str, Power] = {name: _power(device) for name, device in DEVICE_CLASSES.items()}
