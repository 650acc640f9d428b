"""Messages to FlatBuffers and back: the only door to the generated code (through ``writing`` and ``reading``).

``decode`` refuses every byte string that ``verify`` does not accept; ``Encoder`` refuses to build one.
"""

import struct

import flatbuffers

from schemas.documents import TelemetryMirror
from schemas.errors import EncodeError, MalformedMessage
from schemas.layout import IDENTIFIERS
from schemas.messages import DataMessage, Telemetry
from schemas.reading import READERS
from schemas.verify import verify
from schemas.walk import Buffer
from schemas.writing import WRITERS

START_BYTES = 64 * 1024
# what flatbuffers and struct raise for a value that does not fit its field
_MISFITS = (TypeError, ValueError, OverflowError, AttributeError, struct.error)


class Encoder:
    """Encodes messages, reusing one builder. Not thread-safe: one encoder per thread."""

    __slots__ = ("_builder",)

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(START_BYTES)

    def encode(self, message: DataMessage) -> bytes:
        """The message's bytes; what this returns, ``decode`` of the same version accepts.

        Raises:
            EncodeError: a field does not fit the contract; names it.
        """
        root = type(message).__name__
        builder = self._builder
        builder.Clear()
        try:
            builder.Finish(WRITERS[type(message)](builder, message), IDENTIFIERS[root])
        except KeyError as error:
            raise EncodeError(f"{root} is not a data message; the wire has {sorted(IDENTIFIERS)}") from error
        except _MISFITS as error:
            raise EncodeError(f"{root} has a value that does not fit its field: {error}") from error
        encoded = bytes(memoryview(builder.Bytes)[builder.Head() :])
        try:
            verify(encoded, checksum=False)
        except MalformedMessage as error:
            raise EncodeError(f"every peer would refuse this {root}: {error}") from error
        return encoded


def decode(buffer: Buffer, *, stream: str | None = None) -> DataMessage:
    """Check and read a received message. Payloads and tensors are views of ``buffer``: keep it unchanged.

    ``stream`` names the row of the stream table the bytes came on; another stream's message is refused.

    Raises:
        MalformedMessage: the bytes break the contract; nothing else is raised for any bytes.
    """
    return READERS[verify(buffer, stream=stream)](buffer)


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
        answered={"local": telemetry.answered_local, "offload": telemetry.answered_offload},
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
    )
