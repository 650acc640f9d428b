"""Getting a connected socket without stopping the loop.

Shell: owns one short-lived thread per attempt, because name resolution blocks.
The thread ends by itself within the timeout and only hands over its result.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.address import BrokerAddress
from broker.road import Traffic

# Linux and macOS number it differently, and Python 3.10 names it on neither.
_TCP_NOTSENT_LOWAT = {"linux": 25, "darwin": 0x201}.get(sys.platform)
_NOTSENT_BYTES = 16 * 1024
_SEGMENT_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """The outcome of one attempt: a socket, or why there is none."""

    sock: socket.socket | None
    session_number: int
    error: OSError | None = None


def dial(
    address: BrokerAddress,
    *,
    traffic: Traffic,
    timeout_s: float,
    send_buffer_bytes: int,
    number: Callable[[], int],
    done: Callable[[Dialled], None],
) -> None:
    """Connect on a short-lived thread and call `done` from it.

    `number` runs there too: it writes the session counter to disk.
    """

    def attempt() -> None:
        session_number = 0
        try:
            session_number = number()
            sock = _reach(address, traffic=traffic, timeout_s=timeout_s, send_buffer_bytes=send_buffer_bytes)
        except OSError as error:
            done(Dialled(sock=None, session_number=session_number, error=error))
        else:
            done(Dialled(sock=sock, session_number=session_number))

    threading.Thread(target=attempt, name="road-dial", daemon=True).start()


def _reach(
    address: BrokerAddress, *, traffic: Traffic, timeout_s: float, send_buffer_bytes: int
) -> socket.socket:
    """Connect to the first of the host's addresses that answers. Raises OSError."""
    failure = OSError(f"{address.host} has no address")
    for family, kind, protocol, _name, where in _resolve(address):
        try:
            sock = socket.socket(family, kind, protocol)  # fails where the host lacks the family
        except OSError as error:
            failure = error
            continue
        try:
            _tune(sock, traffic=traffic, send_buffer_bytes=send_buffer_bytes)
            sock.settimeout(timeout_s)
            sock.connect(where)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.setblocking(False)
            return sock
    raise failure


def _resolve(address: BrokerAddress) -> list[Any]:
    """Return the rows of `getaddrinfo`. Raises OSError."""
    try:
        return socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # an empty or an overlong label
        raise OSError(f"{address.host} is no host name ({error}): correct the URL") from error


def _tune(sock: socket.socket, *, traffic: Traffic, send_buffer_bytes: int) -> None:
    """Send at once and, on data, keep little in the kernel: there it cannot be dropped."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if traffic is not Traffic.DATA:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    if _TCP_NOTSENT_LOWAT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOTSENT_BYTES)
    # On loopback a segment is 64 KiB, as much as the buffer: the receiver then waits
    # 40 ms for a second one before it confirms the first, and the sender is stuck.
    # A system that does not let us choose has other segments, and the link works anyway.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)


def discard_on_close(sock: socket.socket) -> None:
    """Make the coming close a reset: a plain close would still deliver what is buffered."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
