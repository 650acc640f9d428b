"""Pure core: MQTT packets cut out of a byte stream, and the payload of a PUBLISH changed. Versions 3.1.1 and 5."""

from __future__ import annotations

CONNECT, PUBLISH = 1, 3
VERSION_5 = 5
MOST_LENGTH_BYTES = 4
VERSION_AT = 6  # behind the protocol's name, in a CONNECT's body
QOS_MASK = 0x06


class Packets:
    """Collects bytes of one direction of one connection; hands out whole packets."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Every packet that is whole by now."""
        self._rest += piece
        whole = []
        while (size := _size(self._rest)) is not None and len(self._rest) >= size:
            whole.append(bytes(self._rest[:size]))
            del self._rest[:size]
        return whole


class Publishes:
    """Finds the payload of a PUBLISH; has to see the CONNECT to know the version."""

    def __init__(self) -> None:
        self._version = 0

    def parts(self, packet: bytes) -> tuple[str, bytes, bytes] | None:
        """Topic, what stands before the payload (without the fixed header) and the payload; None for other packets."""
        kind, body = packet[0] >> 4, packet[_header_size(packet) :]
        if kind == CONNECT:
            self._version = body[VERSION_AT]
        if kind != PUBLISH:
            return None
        topic_end = 2 + int.from_bytes(body[:2], "big")
        at = topic_end + (2 if packet[0] & QOS_MASK else 0)
        if self._version == VERSION_5:
            length, used = _varint(body, at)
            at += used + length
        return body[2:topic_end].decode(), body[:at], body[at:]


def publish_packet(first: int, prefix: bytes, payload: bytes) -> bytes:
    """A PUBLISH with this first byte."""
    return bytes([first]) + _encoded(len(prefix) + len(payload)) + prefix + payload


def _encoded(length: int) -> bytes:
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out)


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable length and how many bytes it takes; (0, 0) where it is not whole yet."""
    value = 0
    for index, byte in enumerate(data[at : at + MOST_LENGTH_BYTES]):
        value += (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # the bit that says there is more
            return value, index + 1
    return 0, 0


def _header_size(packet: bytes) -> int:
    return 1 + _varint(packet, 1)[1]


def _size(data: bytearray) -> int | None:
    length, used = _varint(data, 1)
    return 1 + used + length if used else None
