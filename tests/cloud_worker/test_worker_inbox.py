"""What a worker looks at when more comes than it can look at: the real desk, on a virtual clock."""

from collections import Counter, deque

from broker.road import Delivery
from cloud_worker.desk import Desk
from cloud_worker.inbox import Inbox, InboxLimits
from cloud_worker.tally import Tally
from observability.metrics import Registry
from schemas.codec import Encoder
from schemas.messages import Ping, Task
from schemas.topics import topic
from tests.cloud_worker.builders import MS, header

S = 1_000 * MS
US = 1_000
FEW, LATE_NS = InboxLimits().few, InboxLimits().burst_ns + MS


def delivery(device="h-1", *, received_ns=0, payload=b""):
    address = topic("infer", site="lab", device=device, worker="w-1", task="ping")
    return Delivery(topic=address, payload=payload, qos=0, retain=False, received_ns=received_ns)


def taken(inbox, *, now_ns):
    rows = []
    while (row := inbox.take(now_ns=now_ns)) is not None:
        rows.append(row)
    return rows


def test_few_messages_are_all_looked_at_however_long_they_waited():
    inbox = Inbox()
    for _ in range(FEW):
        inbox.put(delivery())
    assert len(taken(inbox, now_ns=3600 * S)) == FEW
    assert inbox.shed == 0


def test_many_that_came_just_now_are_all_looked_at_in_their_order():
    inbox = Inbox()
    rows = [delivery(f"h-{n % 7}") for n in range(40 * FEW)]
    for row in rows:
        inbox.put(row)
    assert [id(row) for row in taken(inbox, now_ns=5 * MS)] == [id(row) for row in rows]


def test_a_burst_is_looked_at_message_by_message():
    inbox = Inbox()
    for n in range(10 * FEW):
        inbox.put(delivery(received_ns=n))
    assert len(taken(inbox, now_ns=150 * MS)) == 10 * FEW
    assert inbox.shed == 0


def test_what_takes_too_much_memory_is_no_burst():
    inbox, frame = Inbox(), bytes(1 << 20)
    for n in range(40):
        inbox.put(delivery(received_ns=n, payload=frame))
    assert inbox.take(now_ns=20 * MS).received_ns == 39
    assert taken(inbox, now_ns=20 * MS) == []
    assert inbox.shed == 39


def test_under_pressure_the_turn_of_a_senders_oldest_is_that_of_its_newest():
    inbox = Inbox()
    for n in range(10 * FEW):
        inbox.put(delivery("loud", received_ns=n))
        if n == 0:
            inbox.put(delivery("quiet", received_ns=LATE_NS - 20 * MS))
    rows = taken(inbox, now_ns=LATE_NS)
    loud, quiet = delivery("loud").topic, delivery("quiet").topic
    assert [(row.topic, row.received_ns) for row in rows] == [
        (loud, 10 * FEW - 1),
        (quiet, LATE_NS - 20 * MS),
    ]
    assert inbox.shed == 10 * FEW - 1


def test_what_comes_after_pressure_is_looked_at_again():
    inbox = Inbox()
    for n in range(10 * FEW):
        inbox.put(delivery(received_ns=n))
    assert len(taken(inbox, now_ns=LATE_NS)) == 1
    for n in range(2 * FEW):
        inbox.put(delivery(received_ns=LATE_NS + n))
    assert len(taken(inbox, now_ns=LATE_NS + 50 * MS)) == 2 * FEW


def test_under_pressure_nothing_is_looked_at_that_waited_for_longer_than_any_frame_can():
    inbox = Inbox()
    for n in range(10 * FEW):
        inbox.put(delivery(f"h-{n}"))
    assert len(taken(inbox, now_ns=LATE_NS)) == FEW
    assert inbox.shed == 9 * FEW


class Flood:
    """A desk behind a queue that drops what comes when it is full, as a broker's does.

    Reading and looking take their time of one thread. Stands for the desk's replier and for who makes its calls.
    """

    READ_NS, LOOK_NS, TURN, QUEUE = 80 * US, 400 * US, 32, 1000

    def __init__(self, *, per_s, senders, budget_ms=100):
        self.now_ns = 0
        self.lefts_ns = []
        self.by_device = Counter()
        self.tally = Tally(Registry())
        self._calls = []
        self._every_ns, self._senders, self._budget_us = S // per_s, senders, budget_ms * 1000
        self._queue, self._sent, self._encoder = deque(), 0, Encoder()
        self._desk = Desk(
            replier=self,
            executor=None,
            tally=self.tally,
            clock_ns=lambda: self.now_ns,
            soon=self._calls.append,
        )

    def pong(self, _ping, *, device, left_ns, **_how):
        self.now_ns += self.LOOK_NS
        self.lefts_ns.append(left_ns)
        self.by_device[device] += 1

    def run(self, for_s):
        while self.now_ns < for_s * S:
            self._arrive()
            for _ in range(min(self.TURN, len(self._queue))):
                device, payload = self._queue.popleft()
                self.now_ns += self.READ_NS
                self._desk.receive(delivery(device, received_ns=self.now_ns, payload=payload))
            calls, self._calls[:] = self._calls[:], []
            for call in calls:
                call()
            if not (self._queue or self._calls):
                self.now_ns += self._every_ns
        return self

    def _arrive(self):
        while self._sent * self._every_ns <= self.now_ns:
            sent_ns = self._sent * self._every_ns
            if len(self._queue) < self.QUEUE:
                head = header(task=Task.PING, frame_id=self._sent, send_ns=sent_ns, budget_us=self._budget_us)
                self._queue.append(
                    (f"h-{self._sent % self._senders}", self._encoder.encode(Ping(header=head)))
                )
            self._sent += 1


def fresh(flood):
    """The part that had most of its time left, of what was looked at once it was no burst any more."""
    lefts_ns = flood.lefts_ns[800:]
    return sum(left_ns > 60 * MS for left_ns in lefts_ns) / len(lefts_ns)


def test_what_is_looked_at_in_a_flood_still_has_most_of_its_time():
    flood = Flood(per_s=6000, senders=30).run(2)
    assert fresh(flood) >= 0.99
    assert len(flood.lefts_ns) >= 500  # more than slots can run
    assert min(flood.by_device.values()) >= 0.8 * max(flood.by_device.values())


def test_what_is_looked_at_in_a_flood_of_many_senders_still_has_time():
    flood = Flood(per_s=6000, senders=3000).run(1.5)
    lefts_ns = flood.lefts_ns[800:]
    assert sum(left_ns > 0 for left_ns in lefts_ns) >= 0.99 * len(lefts_ns)


def test_every_message_of_a_flood_is_accounted_for():
    flood = Flood(per_s=6000, senders=30).run(1)
    seen = flood.tally.snapshot()
    waits = seen.received - seen.pings - seen.dropped_flood
    assert seen.dropped_flood > 1000
    assert 0 <= waits < 1000


def test_as_much_as_can_be_looked_at_is_looked_at():
    flood = Flood(per_s=1500, senders=30).run(1)
    assert flood.tally.snapshot().dropped_flood == 0
    assert fresh(flood) == 1.0
