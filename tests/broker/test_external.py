"""Asking any broker what it is."""

import socket
import threading

import pytest

from broker.address import BrokerAddress, parse_url
from broker.errors import BrokerRefused, BrokerUnavailable
from broker.external import probe
from broker.mosquitto import EmbeddedMosquitto


class OneAnswer:
    """A server that sends the same bytes to whoever connects."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = BrokerAddress(host="127.0.0.1", port=self._listener.getsockname()[1])
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
            with peer:
                peer.recv(1024)
                peer.sendall(self._answer)


def test_mosquitto_speaks_both_versions(mosquitto):
    assert probe(parse_url(mosquitto.url)).protocols == (5, 311)


def test_nothing_there_names_the_fix(free_port):
    with pytest.raises(BrokerUnavailable, match="headway broker run"):
        probe(BrokerAddress(host="127.0.0.1", port=free_port()))


def test_a_refusal_says_why(mosquitto_binary, tmp_path):
    users = {"someone": "a long password"}
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b", users=users) as broker:
        with pytest.raises(BrokerRefused, match=r"refused the connection: (this user|user name)"):
            probe(parse_url(broker.url))
        assert probe(parse_url(broker.url), username="someone", password="a long password").protocols


def test_only_3_1_1_is_found():
    with OneAnswer(b"\x20\x02\x00\x01") as server, pytest.raises(BrokerUnavailable, match="neither"):
        probe(server.address)


def test_another_protocol_is_not_taken_for_mqtt():
    with (
        OneAnswer(b"HTTP/1.1 400 Bad Request\r\n") as server,
        pytest.raises(BrokerRefused, match="MQTT port"),
    ):
        probe(server.address)


def test_one_that_closes_at_once_is_no_broker():
    with OneAnswer(b"") as server, pytest.raises(BrokerUnavailable, match="is it a broker"):
        probe(server.address)


def test_silence_is_named_as_such():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = BrokerAddress(host="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            probe(address, timeout_s=0.1)
