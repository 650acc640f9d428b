"""A headset that said goodbye stays gone: no reconnect and no resync calls it online again."""

import json
import random

import pytest
from edge_site import DEVICE, SITE, until

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor
from edge_node.agent import Agent, Ears, Identity
from schemas.documents import Command, Resync, canonical_bytes
from schemas.topics import topic


class Leaver:
    """An agent on a loopback broker, its resync timers, and what was said about it."""

    def __init__(self, reactor):
        self.broker = LoopbackBroker(reactor=reactor)
        self.timers, self.seen = [], []
        who = Identity(
            site=SITE,
            device=DEVICE,
            boot_id=bytes(16),
            device_class="host",
            software="1",
            simulated=False,
        )
        self.agent = Agent(who, wall_ms=lambda: 1, rng=random.Random(1))
        self.office = self.broker.road("office")
        self.office.subscribe(
            topic("device-presence", site=SITE, device=DEVICE),
            lambda delivery: self.seen.append(json.loads(bytes(delivery.payload))),
        )
        self.road = self.broker.road("headset", birth=self.agent.birth)
        deaf = dict.fromkeys(Ears.__dataclass_fields__, lambda *_: None)
        self.agent.open(self.road, ears=Ears(**deaf), later=lambda _delay_s, call: self.timers.append(call))
        until(lambda: self.said() == [True], what="the birth")

    def said(self):
        return [document["online"] for document in self.seen]

    def resync(self):
        order = canonical_bytes(Resync(epoch=1, jitter_ms=1))
        self.office.publish(topic("resync", site=SITE), order, qos=1)
        until(lambda: self.timers, what="the timer of the resync")

    def leave(self):
        self.agent.leave()
        until(lambda: self.said() == [True, False], what="the goodbye")


@pytest.fixture
def leaver():
    with Reactor() as reactor:
        yield Leaver(reactor)


def test_a_connection_that_comes_back_after_the_goodbye_is_born_offline(leaver):
    leaver.leave()
    leaver.broker.cut("headset")
    until(lambda: leaver.seen[-1]["session"] == 2, what="the next connection")
    assert not any(leaver.said()[1:])


def test_a_resync_before_the_goodbye_changes_nothing_when_its_timer_ends_after_it(leaver):
    leaver.resync()
    leaver.leave()
    leaver.timers.pop()()
    leaver.agent.event("late", "sent after whatever the timer sent")
    until(lambda: leaver.road.counters.sent == 2, what="goodbye and event")
    assert leaver.said() == [True, False]


def test_a_resync_or_a_resend_after_the_goodbye_is_not_answered_with_online(leaver):
    leaver.leave()
    leaver.resync()
    leaver.timers.pop()()
    command = Command(command_id="c-1", kind="resend", boot_id=bytes(16).hex())
    leaver.office.publish(topic("device-command", site=SITE, device=DEVICE), canonical_bytes(command), qos=1)
    until(lambda: leaver.road.counters.sent == 2, what="the reply to the command")
    assert leaver.said() == [True, False]


def test_a_kernel_is_told_of_on_the_roads_thread_and_only_where_the_birth_said_otherwise(leaver):
    model, kernel = "a" * 64, "b" * 64
    leaver.agent.tell_kernel(model, kernel)
    (correct,) = leaver.timers
    leaver.broker.cut("headset")
    until(lambda: leaver.seen[-1]["session"] == 2 and leaver.seen[-1]["online"], what="the next birth")
    assert leaver.seen[-1]["kernels"] == {model: kernel}
    sent = leaver.road.counters.sent
    correct()  # too late: it was said at birth
    assert leaver.road.counters.sent == sent
    leaver.agent.tell_kernel(model, "c" * 64)
    leaver.timers[-1]()
    until(lambda: leaver.seen[-1]["kernels"] == {model: "c" * 64}, what="the other kernel")
    assert leaver.seen[-1]["session"] == 2
