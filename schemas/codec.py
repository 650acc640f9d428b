"""Messages to FlatBuffers and back: the one door to the bytes of the data plane. Core.

``decode`` refuses every byte string that breaks the contract; ``Encoder`` refuses to build one. Nothing else
of this room may be called with bytes from outside.
"""

from schemas.documents import TelemetryMirror
from schemas.errors import EncodeError, MalformedMessage
from schemas.messages import DataMessage, Telemetry
from schemas.verify import verify
from schemas.walk import Buffer
from schemas.writing import written

# what Python and numpy raise for a value of a wrong type, as text where a number belongs
_MISFITS = (TypeError, ValueError, AttributeError)


class Encoder:
    """Encodes messages. Not thread-safe by contract, so that it may keep buffers: one per sending thread."""

    __slots__ = ()

    def encode(self, message: DataMessage) -> bytes:
        """The message's bytes; what this returns, ``decode`` of the same version accepts.

        Raises:
            EncodeError: a field does not fit the contract; names it.
        """
        try:
            encoded = written(message)
            verify(encoded, checksum=False)
        except _MISFITS as error:
            raise EncodeError(f"{type(message).__name__} has a value of a wrong type: {error}") from error
        except MalformedMessage as error:
            raise EncodeError(f"every peer would refuse this {type(message).__name__}: {error}") from error
        return encoded


def decode(buffer: Buffer, *, stream: str | None = None) -> DataMessage:
    """Check and read a received message. Payloads and arrays are views of ``buffer``: keep it unchanged.

    ``stream`` names the row of the stream table the bytes came on; another stream's message is refused.

    Raises:
        MalformedMessage: the bytes break the contract; nothing else is raised for any bytes.
    """
    return verify(buffer, stream=stream)


def mirror(telemetry: Telemetry, device: str) -> TelemetryMirror:
    """Telemetry as the JSON document for systems that do not read FlatBuffers."""
    outcomes = telemetry.outcomes
    return TelemetryMirror(
        device=device,
        wall_ms=telemetry.wall_ms,
        window_ms=telemetry.window_ms,
        mode=telemetry.mode.name.lower(),
        fps=telemetry.fps,
        outcomes={name: getattr(outcomes, name) for name in type(outcomes).__dataclass_fields__},
        answered={
            "local": telemetry.answered_local,
            "offload": telemetry.answered_offload,
            "split": telemetry.answered_split,
        },
        switches=telemetry.switches,
        latency_ms={"p50": telemetry.latency_p50_us / 1000, "p99": telemetry.latency_p99_us / 1000},
        age_p99_ms=telemetry.age_p99_us / 1000,
        rtt_ms=telemetry.rtt_us / 1000,
        battery_fraction=telemetry.battery_fraction,
        temperature_c=telemetry.temperature_c,
        throttled=telemetry.throttled,
        simulated=telemetry.simulated,
        worker=telemetry.worker,
        model=telemetry.model,
        wasted_runs=telemetry.wasted_runs,
    )
