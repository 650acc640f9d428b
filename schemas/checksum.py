"""The payload checksum of the wire: CRC-32 as in zlib, PNG and Ethernet. Pure.

It guards against memory and bridges, not against people: TCP's own 16 bits miss one broken packet in 65,536.
At 0.3 µs per KB it is the largest part of coding a large frame, and the part that any language has built in.
"""

import zlib
from collections.abc import Iterable


def payload_crc32(parts: Iterable[bytes | bytearray | memoryview]) -> int:
    """CRC-32 of the parts one after the other; 0 of none."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc
