"""One PUBLISH, read or written in one copy: the plain kind that carries frames and replies.

Pure core. paho makes a table of all properties for every MQTT 5 publication it reads and copies the payload
four times, and makes a lock to wait on for every one it writes; on the way of a frame that costs more than
everything else we do. Whatever is not plain (QoS above 0, properties, a topic alias, anything odd) is left to
paho, which knows the whole standard.
"""

from __future__ import annotations

_PUBLISH = 0x30
_QOS_BITS = 0x06
_RETAIN_BIT = 0x01


def plain_publication(
    command: int, body: bytes | bytearray, *, is_v5: bool
) -> tuple[str, bytes, bool] | None:
    """Return topic, payload and retain flag of a plain PUBLISH, None for every other one.

    `command` is the first byte of the fixed header, `body` all that follows the header
    (MQTT 5 section 3.3).
    """
    size = len(body)
    if command & _QOS_BITS or size < 2:
        return None
    topic_end = 2 + int.from_bytes(body[:2], "big")
    payload_start = topic_end + is_v5  # MQTT 5: one byte that says 0, no properties
    if topic_end == 2 or payload_start > size or (is_v5 and body[topic_end]):
        return None
    try:
        topic = body[2:topic_end].decode()
    except UnicodeDecodeError:
        return None
    return topic, bytes(memoryview(body)[payload_start:]), bool(command & _RETAIN_BIT)


def plain_packet(topic: str, payload: bytes, *, retain: bool, is_v5: bool) -> bytearray:
    """Return the whole PUBLISH of QoS 0 without properties (MQTT 5 sections 3.3 and 1.5.5)."""
    name = topic.encode()
    packet = bytearray((_PUBLISH | retain,))
    rest = 2 + len(name) + is_v5 + len(payload)
    while rest > 0x7F:
        packet.append(rest & 0x7F | 0x80)
        rest >>= 7
    packet.append(rest)
    packet += len(name).to_bytes(2, "big")
    packet += name
    if is_v5:
        packet.append(0)
    packet += payload
    return packet
