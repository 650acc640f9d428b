"""What a broker allows on one connection, as its CONNACK says. Pure core.

MQTT 5 sections 3.2.2.3.3 and 3.2.2.3.6; a broker of 3.1.1 says nothing, and may still end the connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.road import Message

_NO_PROPERTIES_BYTES = 1
_TEXT_LENGTH_BYTES = _PACKET_ID_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Bounds of one connection."""

    unconfirmed_messages: int = 65535
    packet_bytes: int | None = None

    def fits(self, message: Message) -> bool:
        """Whether the broker would take a packet of this size."""
        return self.packet_bytes is None or publish_bytes(message) <= self.packet_bytes


def publish_bytes(message: Message) -> int:
    """Size of a PUBLISH of MQTT 5 without properties."""
    rest = _TEXT_LENGTH_BYTES + len(message.topic.encode()) + _NO_PROPERTIES_BYTES + len(message.payload)
    rest += _PACKET_ID_BYTES if message.qos else 0
    length_bytes = max(1, -(-rest.bit_length() // 7))
    return 1 + length_bytes + rest
