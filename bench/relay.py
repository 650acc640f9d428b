"""The floor of every broker: a process that passes TCP bytes on, and the framing both its ends use.

``python -m bench.relay PORT`` listens on the loopback, prints its own port, and for each client opens one
connection to PORT. Bytes are passed on as they come, so it is a harder floor than any broker, which has to
wait for a whole message.
"""

import contextlib
import selectors
import socket
import struct
import sys

LENGTH = struct.Struct(">I")
PIECE_BYTES = 256 * 1024
HOST = "127.0.0.1"


def listen() -> socket.socket:
    """A listening socket on a free port of the loopback."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen(1)
    return listener


def connect(port: int) -> socket.socket:
    """A connection that sends at once."""
    sock = socket.create_connection((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def send_message(sock: socket.socket, payload: bytes) -> None:
    """Send one message behind its length."""
    sock.sendall(LENGTH.pack(len(payload)))
    sock.sendall(payload)


def receive_message(sock: socket.socket) -> bytes | None:
    """The next whole message; None when the other side closed."""
    head = _receive_exactly(sock, LENGTH.size)
    return None if head is None else _receive_exactly(sock, LENGTH.unpack(head)[0])


def _receive_exactly(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(data)


def relay(client: socket.socket, worker: socket.socket) -> None:
    """Pass bytes both ways until one side closes."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, (client, worker))
        selector.register(worker, selectors.EVENT_READ, (worker, client))
        while True:
            for key, _ in selector.select():
                giver, taker = key.data
                piece = giver.recv(PIECE_BYTES)
                if not piece:
                    return
                taker.sendall(piece)


def main() -> None:
    """Relay one client at a time to the worker whose port is the argument."""
    with listen() as listener:
        print(listener.getsockname()[1], flush=True)
        while True:  # one after the other, until the parent ends us
            client, _ = listener.accept()
            # A client that gave up leaves a broken connection behind, and the next one is what counts.
            with client, connect(int(sys.argv[1])) as worker, contextlib.suppress(ConnectionError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                relay(client, worker)


if __name__ == "__main__":
    main()
