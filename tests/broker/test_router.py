"""Topics and filters as MQTT 5 section 4.7 has them."""

import pytest

from broker.errors import RoadMisuse
from broker.road import Delivery, RoadCounters
from broker.router import Router, check_filter, check_topic, matches


@pytest.mark.parametrize(
    ("topic_filter", "topic", "inside"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/x", True),
        ("sport/#", "sport", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("$share/group/a/+", "a/b", True),
        ("$share/group/a/+", "b/b", False),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter, topic, inside):
    assert matches(topic_filter, topic) is inside


@pytest.mark.parametrize("bad", ["", "a#", "#/a", "a/+b", "a\0", "$share/group", "a/#/b"])
def test_bad_filters_are_refused(bad):
    with pytest.raises(RoadMisuse):
        check_filter(bad)


@pytest.mark.parametrize("bad", ["", "a/+", "#", "a\0", "x" * 65536])
def test_bad_topics_are_refused(bad):
    with pytest.raises(RoadMisuse):
        check_topic(bad)


def test_a_subscription_added_later_is_seen_by_topics_met_before():
    router, heard = Router(counters=RoadCounters()), []
    delivery = Delivery(topic="a/b", payload=b"", qos=0, retain=False, received_ns=0)
    router.deliver(delivery)
    router.add("a/+", heard.append, qos=1)
    router.add("a/#", heard.append, qos=0)
    router.deliver(delivery)
    assert heard == [delivery, delivery]
    assert router.filters() == [("a/+", 1), ("a/#", 0)]


def test_the_memory_of_topics_is_bounded():
    router = Router(counters=RoadCounters())
    for number in range(10_000):
        router.deliver(Delivery(topic=f"t/{number}", payload=b"", qos=0, retain=False, received_ns=0))
    assert len(router._remembered) <= 4096
