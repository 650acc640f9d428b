"""The ordered queue between the network's thread and the database."""

import threading

from fleet_scene import eventually

from fleet_manager.inbox import Inbox
from observability.metrics import Registry


def test_work_is_done_in_order_and_a_broken_piece_does_not_end_it():
    metrics, done = Registry(), []
    inbox = Inbox(tick=lambda: None, metrics=metrics)
    inbox.start()
    for n in range(5):
        inbox.put(lambda n=n: done.append(n) if n != 2 else 1 / 0)
    eventually(lambda: len(done) == 4)
    inbox.close()
    assert done == [0, 1, 3, 4]
    assert metrics.counter("fleet_inbox_failed") == 1


def test_a_full_inbox_refuses_and_counts():
    metrics, gate = Registry(), threading.Event()
    inbox = Inbox(tick=lambda: None, metrics=metrics, depth=1)
    inbox.start()
    inbox.put(gate.wait)
    eventually(lambda: len(inbox) == 0)
    assert inbox.put(lambda: None)
    assert not inbox.put(lambda: None)
    assert metrics.counter("fleet_inbox_refused") == 1
    gate.set()
    inbox.close()


def test_an_inbox_is_full_by_bytes_too_and_takes_again_what_fits():
    metrics, gate, done = Registry(), threading.Event(), []
    inbox = Inbox(tick=lambda: None, metrics=metrics, max_bytes=100)
    inbox.start()
    assert inbox.put(gate.wait, payload_bytes=40)  # counts while it runs: its payload is alive
    assert inbox.put(lambda: done.append(1), payload_bytes=60)
    assert not inbox.put(lambda: done.append(2), payload_bytes=1)
    assert inbox.put(lambda: done.append(3))
    assert metrics.counter("fleet_inbox_refused") == 1
    gate.set()
    eventually(lambda: done == [1, 3])
    eventually(lambda: inbox.put(lambda: done.append(4), payload_bytes=100))
    eventually(lambda: done == [1, 3, 4])
    inbox.close()


def held(depth: int) -> tuple[Inbox, threading.Event, list[object]]:
    """An inbox that does nothing until its gate opens, and what was done since."""
    gate, done = threading.Event(), []
    inbox = Inbox(tick=lambda: None, metrics=Registry(), depth=depth)
    inbox.start()
    inbox.put(gate.wait)
    eventually(lambda: len(inbox) == 0)
    return inbox, gate, done


def test_the_latest_of_a_name_is_done_in_its_turn_though_the_inbox_is_full():
    inbox, gate, done = held(depth=2)
    assert inbox.put(lambda: done.append(1))
    inbox.put_latest("ready", lambda: done.append("old"))
    assert inbox.put(lambda: done.append(2))
    assert not inbox.put(lambda: done.append(3))
    inbox.put_latest("lost", lambda: done.append("lost"))
    inbox.put_latest("ready", lambda: done.append("ready"))
    gate.set()
    eventually(lambda: len(done) == 4)
    inbox.close()
    assert done == [1, 2, "lost", "ready"]


def test_the_latest_of_a_name_waits_for_what_came_before_it_and_for_nothing_else():
    inbox, gate, done = held(depth=8)
    inbox.put_latest("first", lambda: done.append("first"))
    inbox.put(lambda: done.append(1))
    inbox.put_latest("second", lambda: done.append("second"))
    inbox.put(lambda: done.append(2))
    gate.set()
    eventually(lambda: len(done) == 4)
    inbox.put_latest("idle", lambda: done.append("idle"))
    eventually(lambda: len(done) == 5)
    inbox.close()
    assert done == ["first", 1, "second", 2, "idle"]


def test_a_tick_that_fails_comes_again():
    metrics, ticks = Registry(), []

    def tick():
        ticks.append(1)
        raise ZeroDivisionError

    inbox = Inbox(tick=tick, metrics=metrics)
    inbox.start()
    eventually(lambda: len(ticks) >= 3)
    inbox.close()
    assert metrics.counter("fleet_inbox_failed") == len(ticks)
