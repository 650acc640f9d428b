"""Asking any broker what it is."""

import socket
import threading

import pytest

from broker.address import BrokerAddress, parse_url
from broker.errors import BrokerRefused, BrokerUnavailable
from broker.external import probe
from broker.mosquitto import EmbeddedMosquitto


class OneAnswer:
    """A server that sends the same bytes to whoever connects; or to those of one protocol level each."""

    def __init__(self, answer: bytes | dict[int, bytes], *, split_at: int = 0) -> None:
        self._answer = answer
        self._split_at = split_at
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
                level = peer.recv(1024)[8]  # behind type, length and the name MQTT
                answer = self._answer[level] if isinstance(self._answer, dict) else self._answer
                if self._split_at:  # two segments, and the second is not lost in the close
                    peer.sendall(answer[: self._split_at])
                peer.sendall(answer[self._split_at :])


def test_mosquitto_speaks_both_versions(mosquitto):
    assert probe(parse_url(mosquitto.url)).protocols == (5, 311)


def test_nothing_there_names_the_fix(free_port):
    with pytest.raises(BrokerUnavailable, match="headway broker run"):
        probe(BrokerAddress(host="127.0.0.1", port=free_port()))


def test_a_name_that_cannot_be_one_is_unavailable():
    with pytest.raises(BrokerUnavailable, match="correct the URL"):
        probe(parse_url("mqtt://a..b"))


def test_a_refusal_says_why(mosquitto_binary, tmp_path):
    users = {"someone": "a long password"}
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b", users=users) as broker:
        with pytest.raises(BrokerRefused, match=r"refused the connection: (this user|user name)"):
            probe(parse_url(broker.url))
        assert probe(parse_url(broker.url), username="someone", password="a long password").protocols


def test_only_3_1_1_is_found():
    answers = {4: b"\x20\x02\x00\x00", 5: b"\x20\x02\x00\x01"}
    with OneAnswer(answers) as server:
        assert probe(server.address).protocols == (311,)


def test_only_5_is_found():
    answers = {4: b"\x20\x02\x00\x01", 5: b"\x20\x03\x00\x00\x00"}
    with OneAnswer(answers) as server:
        assert probe(server.address).protocols == (5,)


def test_neither_is_found():
    with OneAnswer(b"\x20\x02\x00\x01") as server, pytest.raises(BrokerUnavailable, match="neither"):
        probe(server.address)


@pytest.mark.parametrize("split_at", [0, 1, 2, 4])
def test_a_refusal_in_many_words_is_read_behind_its_long_length(split_at):
    reason = b"x" * 200
    properties = b"\x1f" + len(reason).to_bytes(2, "big") + reason
    body = b"\x00\x87" + b"\xcb\x01" + properties
    with (
        OneAnswer(b"\x20" + b"\xcf\x01" + body, split_at=split_at) as server,
        pytest.raises(BrokerRefused, match="this user may not connect"),
    ):
        probe(server.address)


def test_a_length_that_never_ends_is_no_mqtt():
    with OneAnswer(b"\x20\xff\xff\xff\xff\xff") as server, pytest.raises(BrokerRefused, match="MQTT port"):
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
