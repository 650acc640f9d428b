import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from broker.publication import plain_packet, plain_publication

VERSIONS = {True: MQTTProtocolVersion.MQTTv5, False: MQTTProtocolVersion.MQTTv311}


def body(topic: bytes, payload: bytes, *, is_v5: bool) -> bytearray:
    return bytearray(len(topic).to_bytes(2, "big") + topic + (b"\0" if is_v5 else b"") + payload)


@given(st.text(min_size=1, max_size=60), st.binary(max_size=300), st.booleans(), st.booleans())
def test_a_plain_publication_is_read_as_paho_reads_it(topic, payload, retain, is_v5):
    packet, command = body(topic.encode(), payload, is_v5=is_v5), 0x30 | retain
    paho = _packet.decode_publish(command, packet, VERSIONS[is_v5])
    plain = plain_publication(command, packet, is_v5=is_v5)
    assert plain == (paho.topic.decode(), paho.payload, paho.retain) == (topic, payload, retain)


@given(st.integers(0x30, 0x3F), st.binary(max_size=40), st.booleans())
def test_what_is_not_plain_is_left_to_paho_and_nothing_is_raised(command, packet, is_v5):
    plain = plain_publication(command, packet, is_v5=is_v5)
    if plain is not None:
        paho = _packet.decode_publish(command, packet, VERSIONS[is_v5])
        assert plain == (paho.topic.decode(), paho.payload, paho.retain)


def test_qos_properties_and_aliases_are_left_to_paho():
    plain = body(b"a/b", b"x", is_v5=True)
    assert plain_publication(0x32, plain, is_v5=True) is None
    with_property = bytearray(b"\0\x03a/b\x02\x01\x01x")  # payload format indicator
    assert plain_publication(0x30, with_property, is_v5=True) is None
    assert plain_publication(0x30, bytearray(b"\0\0\x03\x23\0\x01x"), is_v5=True) is None  # topic alias 1


class Scribe(mqtt.Client):
    """A paho client that keeps what it would send."""

    def __init__(self, *, is_v5: bool) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=VERSIONS[is_v5])
        self._sock = True
        self.written = b""

    def _packet_queue(self, _command, packet, *_rest):
        self.written = bytes(packet)

    def _reset_sockets(self):
        """There is none."""


@pytest.mark.parametrize("is_v5", [True, False])
@pytest.mark.parametrize("size", [0, 1, 118, 119, 120, 121, 16_374, 16_377, 16_380, 2_097_141, 2_097_150])
def test_a_plain_publication_is_written_as_paho_writes_it(size, is_v5):
    scribe, payload = Scribe(is_v5=is_v5), bytes(size)
    for topic, retain in (("ä/b", False), ("a/b/c", True)):
        scribe.publish(topic, payload, 0, retain)
        assert plain_packet(topic, payload, retain=retain, is_v5=is_v5) == scribe.written
