from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion

from broker.publication import plain_publication

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
