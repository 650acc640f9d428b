"""What every road promises, over every broker."""

import threading

import pytest
from roads_under_test import Inbox, States, births_of, ready, wait_for

from broker.errors import RoadMisuse
from broker.road import Message, Road, RoadState, Traffic, Will


def test_a_publication_reaches_those_who_asked_for_it_and_nobody_else(harness):
    writer, reader = harness.road("writer"), harness.road("reader")
    wanted, other = Inbox(), Inbox()
    reader.subscribe("a/b", wanted)
    reader.subscribe("a/c", other)
    ready(writer, reader)
    assert writer.publish("a/b", b"first", qos=1)
    assert writer.publish("a/b", memoryview(b"second"))
    assert wanted.wait(2) == [b"first", b"second"]
    assert other.deliveries == []
    assert wanted.deliveries[0].topic == "a/b"
    assert not wanted.deliveries[0].retain


@pytest.mark.parametrize(
    ("topic_filter", "inside", "outside"),
    [
        ("site/+/presence", "site/a/presence", "site/a/b/presence"),
        ("site/#", "site/a/b/c", "sites/a"),
        ("site/+/+", "site/a/", "site/a"),
    ],
)
def test_wildcards_match_as_mqtt_says(harness, topic_filter, inside, outside):
    road = harness.road("one")
    inbox = Inbox()
    road.subscribe(topic_filter, inbox)
    ready(road)
    road.publish(outside, b"outside", qos=1)
    road.publish(inside, b"inside", qos=1)
    assert inbox.wait(1) == [b"inside"]


def test_a_retained_message_reaches_a_late_subscriber_until_it_is_cleared(harness):
    writer = harness.road("writer")
    ready(writer)
    writer.publish("kept", b"word", qos=1, retain=True)
    wait_for(lambda: writer.counters.acked == 1)
    late = harness.road("late")
    inbox = Inbox()
    late.subscribe("kept", inbox)
    assert inbox.wait(1) == [b"word"]
    assert inbox.deliveries[0].retain
    writer.publish("kept", b"", qos=1, retain=True)
    assert inbox.wait(2)[1] == b""
    later, nothing, marker = harness.road("later"), Inbox(), Inbox()
    later.subscribe("kept", nothing)
    later.subscribe("marker", marker)
    ready(later)
    writer.publish("marker", b"m", qos=1)
    marker.wait(1)
    assert nothing.deliveries == []


def test_a_will_speaks_for_who_is_lost_and_a_new_birth_follows_with_the_next_number(harness):
    watcher = harness.road("watcher")
    inbox = Inbox()
    watcher.subscribe("p", inbox)
    ready(watcher)
    node = harness.road("node", birth=births_of("p"))
    ready(node)
    first = int(inbox.wait(1)[0].removeprefix(b"online "))
    harness.cut("node")
    assert inbox.wait(3)[1:3] == [b"offline %d" % first, b"online %d" % (first + 1)]
    ready(node)
    assert node.counters.reconnects == 1


def test_who_leaves_cleanly_leaves_no_will(harness):
    watcher, node = harness.road("watcher"), harness.road("node", birth=births_of("p"))
    inbox = Inbox()
    watcher.subscribe("p", inbox)
    ready(watcher, node)
    inbox.wait(1)
    node.publish("p", b"gone for good", qos=1, retain=True)
    node.close()
    wait_for(lambda: node.state is RoadState.CLOSED)
    watcher.publish("p", b"marker", qos=1)
    assert inbox.wait(3)[1:] == [b"gone for good", b"marker"]
    assert not node.publish("p", b"too late")
    assert node.counters.dropped_closed == 1


@pytest.mark.parametrize("moment", ["the birth is made", "the broker has not answered"])
def test_a_goodbye_is_the_last_word_though_it_is_said_while_the_road_connects(harness, reactor, moment):
    """What waited before the birth is replaced by it; what is said from then on follows it."""
    watcher, inbox, states = harness.road("watcher"), Inbox(), []
    watcher.subscribe("p", inbox)
    ready(watcher)

    def goodbye() -> None:
        states.append(node.state)
        assert node.publish("p", b"gone for good", qos=1, retain=True)

    def birth(session: int) -> tuple[Will, list[Message]]:
        made = births_of("p")(session)
        if node.counters.connects and not states:
            goodbye() if moment == "the birth is made" else reactor.call_soon(goodbye)
        return made

    made = threading.Event()
    reactor.call_soon(made.wait)  # no birth before its road has a name
    node = harness.road("node", birth=birth)
    made.set()
    ready(node)
    harness.crash()
    assert node.publish("p", b"busy", qos=1, retain=True)  # of the old connection
    harness.revive()
    ready(watcher, node)
    wait_for(lambda: node.counters.acked >= 1)
    late = harness.road("late")
    kept = Inbox()
    late.subscribe("p", kept)
    assert kept.wait(1) == [b"gone for good"]
    assert b"busy" not in inbox.payloads
    assert len(states) == 1
    if harness.name != "loopback" or moment == "the birth is made":
        assert states == [RoadState.CONNECTING]


def test_a_foreign_word_about_our_presence_is_corrected(harness):
    node, rival = harness.road("node", birth=births_of("p")), harness.road("rival")
    inbox = Inbox()
    rival.subscribe("p", inbox)
    ready(node, rival)
    said = inbox.wait(1)[0]
    rival.publish("p", b"offline 0", qos=1, retain=True)
    assert inbox.wait(3)[1:3] == [b"offline 0", said]
    assert node.counters.rebirths == 1


def test_subscriptions_and_control_messages_survive_a_crash_of_the_broker(harness):
    node, reader = harness.road("node"), harness.road("reader")
    inbox, states = Inbox(), States(node)
    reader.subscribe("orders/#", inbox)
    ready(node, reader)
    harness.crash()
    for number in range(20):
        assert node.publish(f"orders/{number}", b"%d" % number, qos=1)
    harness.revive()
    # A clean session hears nothing from before its subscription: wait for the reader alone.
    ready(reader)
    node.publish("orders/last", b"last", qos=1)
    wait_for(lambda: b"last" in inbox.payloads)
    ready(node)
    assert RoadState.DEAD in states.words
    wait_for(lambda: states.words[-1] is RoadState.READY)  # whoever listens is told a moment later
    assert node.counters.acked == 21
    assert node.counters.lost == 0


def test_data_that_became_stale_in_an_outage_never_leaves(harness):
    node, reader = harness.road("node", traffic=Traffic.DATA), harness.road("reader", traffic=Traffic.DATA)
    inbox = Inbox()
    reader.subscribe("frames/#", inbox)
    ready(node, reader)
    harness.crash()
    for number in range(10):
        node.publish(f"frames/{number}", b"old %d" % number, budget_ns=1)
        node.publish("frames/same", b"old %d" % number, budget_ns=1)
    harness.revive()
    ready(node, reader)
    node.publish("frames/same", b"fresh")
    assert inbox.wait(1) == [b"fresh"]
    assert node.counters.dropped_stale + node.counters.dropped_superseded == 20


def test_control_keeps_order_and_completeness(harness):
    writer, reader = harness.road("writer"), harness.road("reader")
    inbox = Inbox()
    reader.subscribe("seq", inbox, qos=1)
    ready(writer, reader)
    sent = [b"%d" % number for number in range(300)]
    assert all(writer.publish("seq", payload, qos=1) for payload in sent)
    assert inbox.wait(300) == sent
    wait_for(lambda: writer.counters.acked == 300)


def test_what_is_too_large_is_dropped_and_counted_on_both_sides(harness):
    large = harness.road("large")
    small = harness.road("small", max_payload_bytes=1000)
    inbox = Inbox()
    small.subscribe("t", inbox)
    ready(large, small)
    large.publish("t", bytes(1001), qos=1)
    large.publish("t", bytes(1000), qos=1)
    assert [len(payload) for payload in inbox.wait(1)] == [1000]
    assert small.counters.dropped_oversize == 1
    assert not small.publish("t", bytes(1001))
    assert small.counters.dropped_oversize == 2


def test_a_handler_that_fails_is_counted_and_stops_nobody(harness):
    road = harness.road("one")
    inbox = Inbox()

    def broken(_delivery):
        raise RuntimeError("a bug in a room")

    road.subscribe("t", broken)
    road.subscribe("t", inbox)
    ready(road)
    road.publish("t", b"1")
    road.publish("t", b"2")
    assert inbox.wait(2) == [b"1", b"2"]
    assert road.counters.handler_errors == 2
    assert road.state is RoadState.READY


def test_a_pool_shares_its_work(harness):
    writer, first, second = harness.road("writer"), harness.road("first"), harness.road("second")
    inboxes = Inbox(), Inbox()
    for worker, inbox in zip((first, second), inboxes, strict=True):
        worker.subscribe("$share/pool/work/+", inbox)
    ready(writer, first, second)
    for number in range(20):
        writer.publish("work/x", b"%d" % number, qos=1)
    wait_for(lambda: sum(len(inbox.deliveries) for inbox in inboxes) == 20)
    assert all(len(inbox.deliveries) == 10 for inbox in inboxes)


def test_a_late_subscription_works_at_once(harness):
    road = harness.road("one")
    ready(road)
    inbox = Inbox()
    road.subscribe("late", inbox, qos=1)
    road.publish("late", b"yes", qos=1)
    assert inbox.wait(1) == [b"yes"]


def test_misuse_is_refused_with_the_reason(harness):
    road: Road = harness.road("one")
    with pytest.raises(RoadMisuse, match="no wildcards"):
        road.publish("a/+", b"")
    with pytest.raises(RoadMisuse, match="choose 0 or 1"):
        road.publish("a", b"", qos=2)
    with pytest.raises(RoadMisuse, match="'#' comes last"):
        road.subscribe("#/a", lambda _delivery: None)


def test_every_road_has_the_whole_protocol(harness):
    road = harness.road("one")
    assert isinstance(road, Road)
    ready(road)
    assert road.echo_rtt_ns.last_ns is not None


def test_what_waits_is_told_in_bytes(harness):
    road = harness.road("node")
    ready(road)
    assert road.queued_bytes == 0
    harness.crash()
    road.publish("t", bytes(1000), qos=1)
    assert road.queued_bytes == 1000
    harness.revive()
    wait_for(lambda: road.queued_bytes == 0)


def test_drops_are_counted_from_every_thread(harness):
    road = harness.road("node", max_payload_bytes=10)
    start = threading.Barrier(8)

    def shout():
        start.wait()
        for _ in range(500):
            assert not road.publish("t", bytes(11))

    threads = [threading.Thread(target=shout) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert road.counters.dropped_oversize == 8 * 500
