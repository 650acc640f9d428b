"""Peers that are no brokers, or broken ones: the session says so and dials again."""

import errno
import socket
import threading

import pytest
from roads_under_test import wait_for

from broker.road import RoadState, Traffic
from broker.session import Session
from broker.session_config import MS, SessionConfig

CONNACK = {311: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}


class Impostor:
    """Accepts connections, answers the first bytes, and sends something else after that."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.accepted = 0
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self):
        while True:
            try:
                peer = self._listener.accept()[0]
            except OSError:
                return
            self.accepted += 1
            with peer:
                peer.settimeout(5)
                try:
                    peer.recv(4096)
                    peer.sendall(self._answer)
                    while peer.recv(4096):
                        pass
                except OSError:
                    continue


@pytest.mark.parametrize("protocol", [5, 311])
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x30\x02\xff\xff",  # a topic longer than its packet
        b"\x32\x06\x00\x01\xff\x00\x01x",  # a topic that is no UTF-8
        b"\x90\x00",  # an empty SUBACK
        b"\xf0\x00" * 3,  # a packet type that this side never gets
        b"\x30\xff\xff\xff\xff\xff",  # a length that never ends
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_bytes_that_cannot_be_read_end_the_connection_and_nothing_else(reactor, garbage, protocol):
    with Impostor(CONNACK[protocol] + garbage) as impostor:
        road = Session(
            SessionConfig(
                url=impostor.url,
                client_id="c",
                echo_topic="e",
                traffic=Traffic.CONTROL,
                protocol=protocol,
                backoff_floor_ns=MS,
                backoff_cap_ns=10 * MS,
                dead_floor_ns=300 * MS,
                dead_cap_ns=300 * MS,
            ),
            reactor=reactor,
        )
        wait_for(lambda: impostor.accepted >= 3, what="it to dial again")
        assert road.state is not RoadState.READY
        assert road.last_error is not None
        road.close(timeout_s=0.2)
    assert reactor.errors == 0


def test_nobody_there_is_said_once_and_tried_again(reactor, free_port):
    road = Session(
        SessionConfig(
            url=f"mqtt://127.0.0.1:{free_port()}",
            client_id="c",
            echo_topic="e",
            traffic=Traffic.DATA,
            backoff_floor_ns=MS,
            backoff_cap_ns=5 * MS,
        ),
        reactor=reactor,
    )
    wait_for(lambda: road.last_error is not None)
    assert "cannot reach mqtt://127.0.0.1" in road.last_error
    assert road.publish("t", b"waits")
    road.close()
    assert road.state is RoadState.CLOSED


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test"])
def test_a_name_that_cannot_be_one_is_said_and_tried_again(reactor, host):
    road = _session(f"mqtt://{host}:1883", reactor=reactor)
    wait_for(lambda: road.last_error is not None)
    assert "correct the URL" in road.last_error
    assert road.state is not RoadState.READY
    road.close()


def test_a_host_without_ipv6_goes_on_to_ipv4(reactor, mosquitto, monkeypatch):
    real_socket, real_resolve = socket.socket, socket.getaddrinfo

    def socket_without_ipv6(family=socket.AF_INET, *rest, **named):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real_socket(family, *rest, **named)

    def resolve_both(host, port, **named):
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
        return [six, *real_resolve(host, port, **named)]

    monkeypatch.setattr("broker.dial.socket.socket", socket_without_ipv6)
    monkeypatch.setattr("broker.dial.socket.getaddrinfo", resolve_both)
    road = _session(mosquitto.url, reactor=reactor)
    wait_for(lambda: road.state is RoadState.READY, what="ready over IPv4")
    road.close()


def _session(url, *, reactor):
    return Session(
        SessionConfig(
            url=url,
            client_id="c",
            echo_topic="e",
            traffic=Traffic.CONTROL,
            backoff_floor_ns=MS,
            backoff_cap_ns=5 * MS,
        ),
        reactor=reactor,
    )
