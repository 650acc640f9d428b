"""Pure core: finds a pattern in a stream that comes in pieces and damages one byte behind it.

Keeps as much of the stream as a pattern may straddle, and where a flip is still due. Holds nothing else.
"""

FLIP = 0xFF


class ByteFlip:
    """The damage done to one stream."""

    def __init__(self) -> None:
        self._tail = b""
        self._position = 0  # bytes passed so far
        self._due: list[int] = []  # positions still to be damaged, rising

    def pass_on(self, data: bytes, *, pattern: bytes, after_bytes: int) -> tuple[bytes, int]:
        """The piece as it leaves, and how many of its bytes were damaged.

        ``after_bytes`` 0 damages the first byte behind the pattern. An empty pattern finds nothing.
        """
        if pattern:
            self._find(data, pattern=pattern, after_bytes=after_bytes)
        end = self._position + len(data)
        here = [at - self._position for at in self._due if at < end]
        self._due = [at for at in self._due if at >= end]
        self._position = end
        if not here:
            return data, 0
        damaged = bytearray(data)
        for index in here:
            damaged[index] ^= FLIP
        return bytes(damaged), len(here)

    def _find(self, data: bytes, *, pattern: bytes, after_bytes: int) -> None:
        window = self._tail + data
        start = self._position - len(self._tail)
        at = window.find(pattern)
        while at >= 0:
            self._due.append(start + at + len(pattern) + after_bytes)
            at = window.find(pattern, at + 1)
        # one byte less than the pattern: a whole one in the tail would be found twice
        keep = len(pattern) - 1
        self._tail = window[max(0, len(window) - keep) :] if keep else b""
