"""One received PUBLISH, read in one copy: the plain kind that carries frames and replies.

Pure core. paho makes a table of all properties for every MQTT 5 publication and copies the payload four
times; on the way of a frame that costs more than everything else we do. Whatever is not plain (QoS above 0,
properties, a topic alias, anything odd) is left to paho, which knows the whole standard.
"""

from __future__ import annotations

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
