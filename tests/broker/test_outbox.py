"""The queue in front of a connection, with a made-up clock."""

import pytest

from broker.outbox import Outbox, OutboxLimits
from broker.road import Message, RoadCounters, Traffic


def make(traffic, *, messages=3, queue_bytes=100, default_budget_ns=None):
    counters = RoadCounters()
    limits = OutboxLimits(
        traffic=traffic, messages=messages, queue_bytes=queue_bytes, default_budget_ns=default_budget_ns
    )
    return Outbox(limits, counters=counters), counters


def message(payload, topic="t"):
    return Message(topic=topic, payload=payload)


def drain(outbox, now_ns=0):
    taken = []
    while (each := outbox.take(now_ns=now_ns)) is not None:
        taken.append(each.payload)
    return taken


def test_data_drops_the_oldest_when_it_is_full():
    outbox, counters = make(Traffic.DATA)
    outbox.block(False)
    assert all(outbox.put(message(b"%d" % n), now_ns=0) for n in range(5))
    assert drain(outbox) == [b"2", b"3", b"4"]
    assert counters.dropped_full == 2


def test_data_counts_bytes_too_and_refuses_what_never_fits():
    outbox, counters = make(Traffic.DATA)
    outbox.block(False)
    outbox.put(message(bytes(60)), now_ns=0)
    outbox.put(message(bytes(60)), now_ns=0)
    assert outbox.queued_bytes == 60
    assert not outbox.put(message(bytes(101)), now_ns=0)
    assert counters.dropped_full == 3


def test_newest_wins_per_topic_only_while_the_way_is_blocked():
    outbox, counters = make(Traffic.DATA)
    outbox.block(False)
    outbox.put(message(b"1"), now_ns=0)
    outbox.put(message(b"2"), now_ns=0)
    assert drain(outbox) == [b"1", b"2"]
    outbox.block(True)
    outbox.put(message(b"3"), now_ns=0)
    outbox.put(message(b"other", topic="u"), now_ns=0)
    outbox.put(message(b"4"), now_ns=0)
    assert drain(outbox) == [b"other", b"4"]
    assert counters.dropped_superseded == 1


@pytest.mark.parametrize(("budget_ns", "left"), [(None, []), (5, []), (10, [b"1"]), (11, [b"1"])])
def test_a_budget_is_the_longest_wait_and_the_default_fills_in(budget_ns, left):
    outbox, counters = make(Traffic.DATA, default_budget_ns=5)
    outbox.put(message(b"1"), now_ns=0, budget_ns=budget_ns)
    assert drain(outbox, now_ns=10) == left
    assert counters.dropped_stale == 1 - len(left)


def test_control_refuses_the_newest_when_it_is_full_and_keeps_what_it_accepted():
    outbox, counters = make(Traffic.CONTROL)
    assert [outbox.put(message(b"%d" % n), now_ns=0) for n in range(5)] == [True] * 3 + [False] * 2
    assert drain(outbox, now_ns=10**18) == [b"0", b"1", b"2"]
    assert counters.dropped_full == 2


def test_what_was_not_confirmed_goes_first_even_into_a_full_queue():
    outbox, _counters = make(Traffic.CONTROL)
    for n in range(3):
        outbox.put(message(b"%d" % n), now_ns=0)
    outbox.put_back([message(b"a"), message(b"b")])
    assert drain(outbox) == [b"a", b"b", b"0", b"1", b"2"]
    assert outbox.queued_bytes == 0


def test_one_topic_can_be_discarded_up_to_a_mark():
    outbox, counters = make(Traffic.CONTROL)
    outbox.put(message(b"1", topic="presence"), now_ns=0)
    outbox.put_back([message(b"0", topic="presence")])
    mark = outbox.mark()
    outbox.put(message(b"2"), now_ns=0)
    outbox.discard("presence", until=mark)
    outbox.put(message(b"3", topic="presence"), now_ns=0)
    outbox.discard("presence", until=mark)
    assert drain(outbox) == [b"2", b"3"]
    assert counters.dropped_superseded == 2
