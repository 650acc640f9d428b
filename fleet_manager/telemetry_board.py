"""The newest telemetry of each device, in memory only: it is old a second later.

Bounded: a device beyond ``MAX_DEVICES`` is not remembered.
"""

from dataclasses import dataclass, field

from schemas.messages import Telemetry

MAX_DEVICES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One telemetry message and when it came."""

    telemetry: Telemetry
    received_ms: int


@dataclass(slots=True)
class TelemetryBoard:
    """Newest first, and only the newest."""

    _readings: dict[str, Reading] = field(default_factory=dict)

    def put(self, device: str, telemetry: Telemetry, *, now_ms: int) -> None:
        """Remember a message in place of the last one."""
        if device in self._readings or len(self._readings) < MAX_DEVICES:
            self._readings[device] = Reading(telemetry=telemetry, received_ms=now_ms)

    def get(self, device: str) -> Reading | None:
        """The newest message of a device, None when none came since it was last offline."""
        return self._readings.get(device)

    def forget(self, device: str) -> None:
        """Drop what is known of a device that left."""
        self._readings.pop(device, None)
