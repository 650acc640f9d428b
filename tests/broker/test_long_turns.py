"""A peer that sends more than we can read, without a pause: what we say and our timers come about all the same."""

import contextlib
import socket
import threading
import time

from roads_under_test import wait_for

from broker.publication import plain_packet
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig

CONNACK = b"\x20\x03\x00\x00\x00"
OURS = b"said in the flood"


class Flood:
    """Accepts one connection, floods it, and keeps what comes back."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard = bytearray()
        self._threads = [threading.Thread(target=self._run, daemon=True)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_exc):
        with contextlib.suppress(OSError):  # the session may have ended it already
            self._peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._peer.close()
        self._listener.close()

    def _run(self):
        self._peer = self._listener.accept()[0]
        self.heard += self._peer.recv(4096)
        self._peer.sendall(CONNACK)
        self._threads.append(threading.Thread(target=self._send, daemon=True))
        self._threads[1].start()
        with contextlib.suppress(OSError):  # the test ends it
            while piece := self._peer.recv(4096):
                self.heard += piece

    def _send(self):
        packet = plain_packet("flood/x", bytes(16 * 1024), retain=False, is_v5=True)
        with contextlib.suppress(OSError):  # as above
            while True:
                self._peer.sendall(packet)


def test_what_is_said_leaves_while_more_comes_in_than_can_be_read(reactor):
    read = []

    def slowly(delivery):
        read.append(delivery)
        until_s = (
            time.monotonic() + 0.001
        )  # a handler that works: longer than the peer takes to send the next
        while time.monotonic() < until_s:
            pass

    with Flood() as flood:
        session = Session(
            SessionConfig(url=flood.url, client_id="c", echo_topic="site/echo/c", traffic=Traffic.DATA),
            reactor=reactor,
        )
        session.subscribe("flood/#", slowly)
        wait_for(lambda: len(read) > 100)
        fired = threading.Event()
        reactor.call_soon(lambda: reactor.call_later(0.01, fired.set))
        assert session.publish("site/said", OURS)
        wait_for(lambda: OURS in flood.heard and fired.is_set())
        session.close()
