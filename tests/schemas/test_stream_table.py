"""The stream table: every row builds, parses, filters and names what exists."""

import re

import pytest

from schemas import documents, messages, topics
from schemas.errors import TopicError
from schemas.layout import ROOTS
from schemas.topics import TOPICS, Keep, Role, Traffic, check_id, parse, pool_filter, row, topic, topic_filter

EXAMPLES = {
    "site": "plant-a",
    "device": "hmd-1",
    "worker": "w-1",
    "manager": "m-1",
    "client": "new-1",
    "task": "hands",
    "traffic": "data",
    "digest": "ab" * 32,
    "n": "17",
    "name": "root",
}
each_row = pytest.mark.parametrize("stream", TOPICS, ids=lambda stream: stream.name)


def ids_of(stream):
    return {field: EXAMPLES[field] for field in stream.fields}


def matches(subscription, text):
    """As a broker matches a filter without '#'."""
    wanted, levels = subscription.split("/"), text.split("/")
    return len(wanted) == len(levels) and all(
        want in ("+", have) for want, have in zip(wanted, levels, strict=True)
    )


@each_row
def test_a_topic_built_from_a_row_parses_to_that_row_and_its_ids(stream):
    assert parse(topic(stream.name, **ids_of(stream))) == (stream, ids_of(stream))


@each_row
def test_a_filter_matches_its_own_topics_only(stream):
    subscription = topic_filter(stream.name, site="plant-a")
    hit = [other.name for other in TOPICS if matches(subscription, topic(other.name, **ids_of(other)))]
    assert hit == [stream.name]


@each_row
def test_a_filled_filter_is_the_topic(stream):
    assert topic_filter(stream.name, **ids_of(stream)) == topic(stream.name, **ids_of(stream))


@each_row
def test_every_topic_passes_every_broker(stream):
    longest = {
        "site": "s" * 32,
        "device": "d" * 32,
        "worker": "w" * 32,
        "manager": "m" * 32,
        "client": "c" * 32,
    }
    longest |= {"task": "t" * 32, "traffic": "control", "digest": "a" * 64, "n": "9" * 6, "name": "n" * 64}
    text = topic(stream.name, **{field: longest[field] for field in stream.fields})
    assert len(text) <= 256  # AWS IoT
    assert text.count("/") <= 7
    assert not re.search(r"[ .#+$]", text)


@each_row
def test_the_message_of_a_row_exists(stream):
    assert (
        stream.message == "bytes" or hasattr(messages, stream.message) or hasattr(documents, stream.message)
    )


@each_row
def test_a_row_keeps_the_rules_of_its_traffic(stream):
    assert stream.writers
    assert stream.readers
    assert stream.queue_depth > 0
    assert stream.rate_hz > 0
    assert stream.max_payload_bytes > 0
    if stream.traffic is Traffic.DATA:
        assert (stream.qos, stream.retain, stream.keep) == (0, False, Keep.NEWEST)
        assert stream.max_age_ms > 0
    if stream.retain:
        assert stream.qos == 1
    if stream.message not in ("bytes", "Telemetry", "Frame", "Result"):
        assert stream.max_payload_bytes <= documents.MAX_DOCUMENT_BYTES


def test_names_and_patterns_are_unique():
    assert len({stream.name for stream in TOPICS}) == len(TOPICS)
    assert len({stream.pattern for stream in TOPICS}) == len(TOPICS)


def test_every_data_message_travels_on_a_row():
    for root, stream in ROOTS.values():
        assert hasattr(messages, root)
        assert row(stream).traffic is Traffic.DATA


def test_pictures_and_models_are_read_by_nobody_but_their_two_ends():
    outsiders = {Role.MANAGER, Role.BRIDGE, Role.INTEGRATION}
    assert not row("infer").readers & outsiders
    assert not row("result").readers & outsiders
    assert row("device-chunk").readers == {Role.DEVICE}


def test_a_chunk_fits_its_rows():
    for name in ("device-chunk", "broadcast-chunk"):
        assert row(name).max_payload_bytes >= topics.CHUNK_BYTES


def test_the_pool_shares_one_fixed_group_per_task():
    assert pool_filter("plant-a", "hands") == "$share/hands/hw/1/plant-a/d/+/infer/any/hands"


@pytest.mark.parametrize(
    "value", ["", "Upper", "-first", "a" * 33, "a/b", "a.b", "a b", "+", "#", "ä", "a\n", "$share"]
)
def test_an_id_that_could_change_the_topic_is_refused(value):
    with pytest.raises(TopicError, match="must match"):
        check_id("device", value)


def test_a_topic_needs_exactly_the_ids_of_its_row():
    with pytest.raises(TopicError, match="needs"):
        topic("infer", site="s", device="d", worker="w")
    with pytest.raises(TopicError, match="needs"):
        topic("resync", site="s", device="d")
    with pytest.raises(TopicError, match="has no"):
        topic_filter("resync", device="d")
    with pytest.raises(TopicError, match="table has"):
        row("gossip")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hw/1/s",
        "hw/2/s/resync",
        "hw/1/s/resync/more",
        "hw/1/S/resync",
        "hw/1/s/d/x/presence\n",
        "hw/1/s/d/x/infer/w/hands/extra",
        "hw/1/s/d/x/echo/other",
        "$SYS/broker/uptime",
    ],
)
def test_a_topic_that_is_no_row_is_refused(text):
    with pytest.raises(TopicError, match="not in the stream table"):
        parse(text)
