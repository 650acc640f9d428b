"""A broker with small limits: what it says is kept to, and what it only punishes is found out."""

import socket
import struct

import pytest
from roads_under_test import Inbox, SessionHarness, ready, wait_for

from broker.allowance import Allowance, publish_bytes
from broker.inflight import STRIKES, Inflight
from broker.mosquitto import EmbeddedMosquitto
from broker.mosquitto_conf import MosquittoConf
from broker.road import Message, RoadCounters

PACKET_BYTES = 2000
LIMITS = f"max_packet_size {PACKET_BYTES}\nmax_inflight_messages 2\n"


@pytest.fixture
def strict(mosquitto_binary, tmp_path, monkeypatch):
    plain = MosquittoConf.text
    monkeypatch.setattr(MosquittoConf, "text", lambda conf: plain(conf) + LIMITS)
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "strict") as broker:
        yield broker


@pytest.fixture
def harness_of(strict, reactor, tmp_path):
    made = []

    def make(protocol):
        made.append(SessionHarness(reactor, strict, protocol, tmp_path))
        return made[-1]

    yield make
    for harness in made:
        harness.close()


def message(topic="t", payload=b"x", qos=1):
    return Message(topic=topic, payload=payload, qos=qos)


def test_what_is_larger_than_the_broker_says_is_dropped_and_counted_and_the_rest_goes_on(harness_of):
    harness = harness_of(5)
    writer, reader, inbox = harness.road("writer"), harness.road("reader"), Inbox()
    reader.subscribe("t", inbox)
    ready(writer, reader)
    fits = bytes(PACKET_BYTES - publish_bytes(message(payload=bytes(1000))) + 1000)
    for payload in (fits, fits + b"x", b"after"):
        writer.publish("t", payload, qos=1)
    assert inbox.wait(2) == [fits, b"after"]
    assert writer.counters.dropped_oversize == 1
    assert writer.counters.reconnects == 0


def test_no_more_than_the_broker_says_is_under_way(harness_of):
    harness = harness_of(5)
    writer, reader, inbox = harness.road("writer"), harness.road("reader"), Inbox()
    reader.subscribe("t", inbox)
    ready(writer, reader)
    connection = writer._lifeline.connection
    assert connection.allowance == Allowance(unconfirmed_messages=2, packet_bytes=PACKET_BYTES)
    for number in range(50):
        writer.publish("t", struct.pack("!I", number), qos=1)
    assert inbox.wait(50) == [struct.pack("!I", number) for number in range(50)]
    assert writer.counters.reconnects == 0


def test_a_message_that_ends_every_connection_is_given_up_and_the_rest_arrives(harness_of):
    """MQTT 3.1.1 has no way to say a limit: the broker just closes."""
    harness = harness_of(311)
    writer, reader, inbox = harness.road("writer"), harness.road("reader"), Inbox()
    reader.subscribe("t", inbox)
    ready(writer, reader)
    for payload in (b"before", bytes(2 * PACKET_BYTES), b"after", b"last"):
        writer.publish("t", payload, qos=1)
    wait_for(lambda: {b"before", b"after", b"last"} <= set(inbox.payloads))
    assert writer.counters.lost == 1
    assert writer.counters.reconnects >= STRIKES


def window(limit=20):
    return Inflight(limit=limit, counters=RoadCounters())


def test_the_oldest_is_given_up_only_after_it_ended_several_connections_in_a_row():
    inflight, head = window(), message()
    for _ in range(STRIKES - 1):
        assert inflight.blame([head, message()]) is None
    assert inflight.blame([message(), head]) is None  # another one this time
    for _ in range(STRIKES - 1):
        assert inflight.blame([head]) is None
    assert inflight.blame([head]) is head
    assert inflight.blame([]) is None


def test_a_suspect_goes_alone_until_something_is_confirmed():
    inflight, head = window(), message()
    assert not inflight.full(allowed=65535, others=0)
    inflight.blame([head])
    inflight.handed(head, mid=1)
    assert inflight.full(allowed=65535, others=0)
    inflight.acked(1, refused=False)
    inflight.handed(message(), mid=2)
    assert not inflight.full(allowed=65535, others=0)


@pytest.mark.parametrize(("allowed", "others", "full"), [(3, 0, False), (1, 0, True), (2, 1, True)])
def test_the_window_is_the_smaller_one_and_counts_what_others_sent(allowed, others, full):
    inflight = window(limit=2)
    inflight.handed(message(), mid=1)
    assert inflight.full(allowed=allowed, others=others) is full


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", [0, 100, 118, 119, 120, 121, 122, 123, 124, 125, 16_376, 16_380, 16_384])
def test_the_size_of_a_packet_is_that_of_the_library(size, qos):
    from paho.mqtt import client as mqtt  # noqa: PLC0415  only this comparison needs it

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    packets = []
    client._packet_queue = lambda _command, packet, *_rest: packets.append(packet)
    with socket.socket() as client._sock:  # it only looks whether there is one
        client._send_publish(1, b"topic", bytes(size), qos)
    assert publish_bytes(message(topic="topic", payload=bytes(size), qos=qos)) == len(packets[0])
