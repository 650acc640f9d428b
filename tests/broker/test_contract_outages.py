"""How a session lives through outages of a real broker, on both protocols at once."""

import os
import signal
import struct
import time

import psutil
import pytest
from hole import BlackHole
from roads_under_test import Inbox, SessionHarness, States, births_of, ready, wait_for

from broker.road import Message, RoadState, Traffic, Will
from broker.session_config import MS

PROTOCOLS = (5, 311)


@pytest.fixture
def harnesses(reactor, mosquitto, tmp_path):
    made = [SessionHarness(reactor, mosquitto, protocol, tmp_path) for protocol in PROTOCOLS]
    yield made
    for harness in made:
        for road in harness.roads.values():
            road.close(timeout_s=0.5)


def test_a_killed_broker_is_started_again_and_sessions_come_back(harnesses, mosquitto):
    inboxes = []
    for harness in harnesses:
        road = harness.road(f"node-{harness.protocol}", birth=births_of(f"p/{harness.protocol}"))
        inboxes.append(Inbox())
        road.subscribe(f"t/{harness.protocol}", inboxes[-1])
        ready(road)
    old_pid = mosquitto.pid
    os.kill(old_pid, signal.SIGKILL)
    roads = [road for harness in harnesses for road in harness.roads.values()]
    wait_for(lambda: all(road.counters.reconnects for road in roads))
    ready(*roads)
    assert mosquitto.restarts == 1
    assert mosquitto.pid != old_pid
    for harness, road, inbox in zip(harnesses, roads, inboxes, strict=True):
        road.publish(f"t/{harness.protocol}", b"again", qos=1)
        assert inbox.wait(1) == [b"again"]


def test_a_broker_stopped_for_4_s_makes_the_road_suspect_then_dead_and_ready_again(harnesses, mosquitto):
    watched = []
    for harness in harnesses:
        road = harness.road(f"node-{harness.protocol}", traffic=Traffic.DATA)
        ready(road)
        watched.append((road, States(road)))
    # Keep them active, so that echoes are frequent.
    for road, _states in watched:
        road.publish("t", b"x")
    wait_for(lambda: all(road.counters.sent == 1 for road, _states in watched))
    stopped = time.monotonic()
    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        wait_for(lambda: all(RoadState.DEAD in states.words for _road, states in watched))
        for _road, states in watched:
            assert RoadState.SUSPECT in states.words[: states.words.index(RoadState.DEAD)]
        while time.monotonic() < stopped + 4:
            time.sleep(0.01)
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
    ready(*(road for road, _states in watched))
    assert all(road.counters.reconnects >= 1 for road, _states in watched)


def test_a_half_open_takeover_leaves_the_new_session_online(harnesses, mosquitto):
    """The first process vanishes without a word; a second one takes its name over."""
    for harness in harnesses:
        topic, name = f"p/{harness.protocol}", f"node-{harness.protocol}"
        watcher, inbox = harness.road(f"watcher-{harness.protocol}"), Inbox()
        watcher.subscribe(topic, inbox)
        with BlackHole(mosquitto.port) as hole:
            old = harness.road(name, birth=births_of(topic), url=hole.url)
            ready(watcher, old)
            first = int(inbox.wait(1)[0].removeprefix(b"online "))
            hole.swallow()
            new = harness.road(name, birth=births_of(topic))
            ready(new)
            said = b"online %d" % (first + 1)
            wait_for(lambda inbox=inbox, said=said: inbox.payloads[-1] == said)
            # The old will may come late; whenever it comes, the birth is said again.
            watcher.publish(topic, b"offline %d" % first, qos=1, retain=True)
            wait_for(lambda new=new: new.counters.rebirths >= 1)
            wait_for(lambda inbox=inbox, said=said: inbox.payloads[-1] == said)
            old.close(timeout_s=0.1)
        assert new.counters.connects == 1


def test_after_a_10_s_black_hole_no_stale_frame_leaves_and_nothing_piled_up(harnesses, mosquitto):
    """30 frames a second into a link that swallows everything for 10 s."""
    budget_ns = 200 * MS
    frame = bytes(20_000)
    process = psutil.Process()
    sent_ns: dict[int, list[int]] = {protocol: [] for protocol in PROTOCOLS}

    def note(protocol):
        def handler(delivery):
            sent_ns[protocol].extend(struct.unpack_from("!q", delivery.payload))

        return handler

    with BlackHole(mosquitto.port) as hole:
        roads = []
        for harness in harnesses:
            reader = harness.road(f"reader-{harness.protocol}", traffic=Traffic.DATA)
            reader.subscribe(f"f/{harness.protocol}", note(harness.protocol))
            node = harness.road(f"node-{harness.protocol}", traffic=Traffic.DATA, url=hole.url)
            ready(reader, node)
            roads.append(node)

        queued_bytes, rss_bytes = [], []

        def stream(seconds: float) -> None:
            end, due = time.monotonic() + seconds, time.monotonic()
            while due < end:
                for harness, node in zip(harnesses, roads, strict=True):
                    stamped = struct.pack("!q", time.monotonic_ns()) + frame
                    node.publish(f"f/{harness.protocol}", stamped, budget_ns=budget_ns)
                queued_bytes.append(max(node.queued_bytes for node in roads))
                rss_bytes.append(process.memory_info().rss)
                due += 1 / 30
                time.sleep(max(0.0, due - time.monotonic()))

        stream(0.5)
        wait_for(lambda: all(sent_ns.values()))
        hole.swallow()
        stream(10.0)
        before_release = {protocol: len(those) for protocol, those in sent_ns.items()}
        released_ns = time.monotonic_ns()
        hole.release()
        ready(*roads)
        stream(1.0)
        wait_for(lambda: all(len(sent_ns[p]) > before_release[p] + 10 for p in PROTOCOLS))
    for protocol in PROTOCOLS:
        after = sent_ns[protocol][before_release[protocol] :]
        # What leaves then was published less than its budget before the way was free, and in order.
        assert min(after) > released_ns - budget_ns
        assert after == sorted(after)
    # Newest wins per topic while the way is blocked: one frame waits, and another joins it for a moment.
    assert max(queued_bytes) <= 2 * (len(frame) + 8)
    assert max(rss_bytes) - rss_bytes[0] < 32 << 20
    for node in roads:
        assert node.counters.dropped_stale + node.counters.dropped_superseded > 200


def test_presence_queued_by_an_old_session_does_not_follow_a_new_birth(harnesses, mosquitto):
    for harness in harnesses:
        topic = f"p/{harness.protocol}"
        watcher, inbox = harness.road(f"watcher-{harness.protocol}"), Inbox()
        watcher.subscribe(topic, inbox)
        with BlackHole(mosquitto.port) as hole:
            node = harness.road(f"node-{harness.protocol}", birth=births_of(topic), url=hole.url)
            ready(watcher, node)
            first = int(inbox.wait(1)[0].removeprefix(b"online "))
            hole.swallow()
            node.publish(topic, b"busy %d" % first, qos=1, retain=True)
            wait_for(lambda node=node: node.counters.sent == 1)
            hole.release()
            wait_for(lambda inbox=inbox, said=b"online %d" % (first + 1): inbox.payloads[-1] == said)
            node.publish(topic, b"idle", qos=1, retain=True)
            wait_for(lambda inbox=inbox: inbox.payloads[-1] == b"idle")
            assert b"busy %d" % first not in inbox.payloads
            node.close()


def test_a_birth_that_fails_is_tried_again(harnesses, reactor):
    calls = []

    def birth(session: int) -> tuple[Will, list[Message]]:
        calls.append(session)
        if len(calls) == 1:
            raise OSError("the disk is full")
        return births_of("p")(session)

    road = harnesses[0].road("node", birth=birth)
    ready(road)
    assert calls == [calls[0], calls[0] + 1]
    assert reactor.errors == 1
    reactor.errors = 0
