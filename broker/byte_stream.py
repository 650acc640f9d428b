"""A socket as paho wants one, with fewer calls and copies behind it.

Shell: owns one connected socket. paho reads a packet's header byte by byte and asks
for the whole rest at once; here one read into a kept buffer serves many of those.
Whoever waits for the socket must ask `pending` too: the kernel cannot know of it.
"""

from __future__ import annotations

import socket

_BUFFER_BYTES = 256 * 1024


class ByteStream:
    """The part of a socket's interface that paho uses."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._end = 0
        self.fills = 0  # how often the buffer was filled

    @property
    def pending(self) -> bool:
        """Whether bytes were read that nobody asked for yet."""
        return self._start < self._end

    def recv(self, size_bytes: int) -> bytes:
        """Return 1 to `size_bytes` bytes, b"" at the end. Raises OSError, BlockingIOError."""
        if self._start == self._end:
            self._start, self._end = 0, self._sock.recv_into(self._view)
            self.fills += 1
        taken = self._view[self._start : min(self._end, self._start + size_bytes)]
        self._start += len(taken)
        return bytes(taken)

    def send(self, payload: bytes | bytearray | memoryview) -> int:
        """Send what the kernel takes now. Raises OSError, BlockingIOError."""
        return self._sock.send(payload)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  the socket's own signature
        """Pass on."""
        self._sock.setblocking(flag)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
