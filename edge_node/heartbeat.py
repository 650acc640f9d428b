"""Shell: once a second a headset says how it fares, as FlatBuffer and as JSON, over the data road.

Belongs to the frame loop's thread. Steps the vitals with it, because heat follows from what was done.
"""

from collections.abc import Callable

from broker.road import Road
from edge_node.agent import Identity
from edge_node.decide import Path
from edge_node.device_class import DeviceClass
from edge_node.journey import Journey
from edge_node.offload import Offloader
from edge_node.telemetry import FrameTally, Moment
from edge_node.vitals import HeatModel, Vitals, read_host
from schemas.codec import Encoder, mirror
from schemas.documents import TelemetryMirror, canonical_bytes
from schemas.topics import row, topic

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Heartbeat:
    """The telemetry of one headset."""

    def __init__(
        self,
        *,
        identity: Identity,
        device: DeviceClass,
        road: Road,
        tally: FrameTally,
        journey: Journey,
        offloader: Offloader,
        wall_ms: Callable[[], int],
        now_ns: int,
    ) -> None:
        self._who = identity
        self._device = device
        self._heat = HeatModel(device.heat) if device.heat else None
        self._road = road
        self._tally = tally
        self._journey = journey
        self._offloader = offloader
        self._wall_ms = wall_ms
        self._encoder = Encoder()
        self._last_ns = now_ns
        self._last_busy_ns = 0

    def beat(self, now_ns: int) -> TelemetryMirror:
        """Close the window, publish it; returns what was published as JSON."""
        journey, remote = self._journey, self._journey.remote
        vitals = self._vitals(now_ns)
        remote.thermal, remote.vitals = vitals.thermal, vitals
        worker = remote.worker(now_ns=now_ns)
        telemetry = self._tally.close_window(
            Moment(
                now_ns=now_ns,
                wall_ms=self._wall_ms(),
                mode=journey.mode,
                switches=journey.switches,
                rtt_ns=remote.rtt_ns(worker),
                worker=worker or "",
                model=journey.local.engine.label,
                uplink_bytes=self._offloader.uplink_bytes,
                downlink_bytes=self._offloader.downlink_bytes,
                vitals=vitals,
                simulated=self._device.simulated,
            )
        )
        document = mirror(telemetry, self._who.device)
        self._publish("telemetry", self._encoder.encode(telemetry))
        self._publish("telemetry-json", canonical_bytes(document))
        return document

    def _vitals(self, now_ns: int) -> Vitals:
        if self._heat is None:
            return read_host()
        elapsed_s = max(0.001, (now_ns - self._last_ns) / NS_PER_S)
        busy_ns = self._journey.perception.use.busy_ns
        busy = min(1.0, (busy_ns - self._last_busy_ns) / NS_PER_S / elapsed_s)
        self._last_ns, self._last_busy_ns = now_ns, busy_ns
        radio = 0.0 if self._journey.mode is Path.LOCAL else 1.0
        return self._heat.step(elapsed_s=elapsed_s, busy_fraction=busy, radio_fraction=radio)

    def _publish(self, name: str, payload: bytes) -> None:
        stream = row(name)
        where = topic(name, site=self._who.site, device=self._who.device)
        self._road.publish(where, payload, qos=stream.qos, budget_ns=stream.max_age_ms * NS_PER_MS)
