"""The loop that drives every session."""

import socket
import threading
import time

import pytest
from roads_under_test import wait_for

from broker.errors import RoadMisuse
from broker.reactor import Reactor


def test_calls_are_made_in_order_on_one_thread(reactor):
    made = []
    for number in range(100):
        reactor.call_soon(lambda number=number: made.append((number, reactor.here)))
    wait_for(lambda: len(made) == 100)
    assert made == [(number, True) for number in range(100)]
    assert not reactor.here


def test_timers_fire_in_time_order_and_can_be_taken_back(reactor):
    fired = []

    def arm():
        reactor.call_later(0.02, lambda: fired.append("second"))
        reactor.call_later(0.01, lambda: fired.append("first"))
        reactor.call_later(0.0, lambda: fired.append("never")).cancel()

    reactor.call_soon(arm)
    wait_for(lambda: len(fired) == 2)
    assert fired == ["first", "second"]


def test_sockets_come_before_timers_after_a_stall(reactor):
    order = []
    ours, theirs = socket.socketpair()

    def stall():
        def readable(_readable, _writable):
            ours.recv(1)
            reactor.unwatch(ours)
            order.append("socket")

        reactor.watch(ours, readable)
        reactor.call_later(0.01, lambda: order.append("timer"))
        theirs.send(b"x")
        time.sleep(0.05)  # the stall itself

    reactor.call_soon(stall)
    wait_for(lambda: len(order) == 2)
    assert order == ["socket", "timer"]
    ours.close()
    theirs.close()


def test_a_failing_call_is_counted_and_stops_nobody():
    with Reactor() as reactor:
        done = threading.Event()
        reactor.call_soon(lambda: 1 / 0)
        reactor.call_soon(done.set)
        assert done.wait(5)
        assert reactor.errors == 1


def test_what_belongs_to_the_loop_is_refused_elsewhere(reactor):
    with pytest.raises(RoadMisuse, match="use call_soon"):
        reactor.call_later(1, lambda: None)


def test_it_ends_when_it_is_stopped_even_twice():
    reactor = Reactor()
    reactor.stop()  # never started
    reactor.start()
    reactor.stop()
    reactor.stop()
    assert not reactor._thread.is_alive()
    reactor.call_soon(lambda: None)  # a late call has nowhere to go and hurts nobody


def test_an_idle_loop_sleeps(reactor):
    turns = []
    real = reactor._turn

    def counted():
        turns.append(1)
        real()

    reactor._turn = counted
    reactor.call_soon(lambda: None)
    wait_for(lambda: bool(turns))
    before = len(turns)
    threading.Event().wait(0.1)
    assert len(turns) - before <= 2
