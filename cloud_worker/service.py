"""Shell: one worker on its two roads: subscriptions, presence, load and a clean leave.

Owns no thread and no timer; ``main`` (or a test) calls ``beat`` and ``leave``. Works over any ``Road``.
"""

import random
import threading
from collections.abc import Callable

from broker.road import Delivery, Message, Road, RoadState
from cloud_worker.desk import Desk
from cloud_worker.execute import Executor
from cloud_worker.presence import Identity, Presence
from cloud_worker.tally import Tally
from observability import log
from schemas.documents import Resync, WorkerPresence, parse_document
from schemas.errors import MalformedMessage
from schemas.topics import pool_filter, row, topic, topic_filter

_log = log.get("cloud_worker.service")

Later = Callable[[float, Callable[[], None]], object]  # (delay in seconds, call)


class Service:
    """A worker that is open for work until it leaves."""

    def __init__(
        self,
        *,
        identity: Identity,
        control: Road,
        data: Road,
        desk: Desk,
        executor: Executor,
        presence: Presence,
        tally: Tally,
        later: Later,
        rng: random.Random,
    ) -> None:
        self._identity = identity
        self._control = control
        self._data = data
        self._desk = desk
        self._executor = executor
        self._presence = presence
        self._tally = tally
        self._later = later
        self._rng = rng
        # The goodbye must be the last word: a resync's answer is not to slip in between.
        self._word = threading.Lock()
        self._rival = ""  # boot id of the last other worker that spoke under this id

    def open(self) -> None:
        """Subscribe to the own address, to the pool of every task, to the own presence, and to resync."""
        who = self._identity
        self._data.subscribe(topic_filter("infer", site=who.site, worker=who.worker), self._desk.receive)
        for task in who.tasks:
            self._data.subscribe(pool_filter(who.site, task), self._desk.receive)
        self._control.subscribe(topic("resync", site=who.site), self._resync, qos=1)
        own = row("worker-presence")
        self._control.subscribe(
            topic(own.name, site=who.site, worker=who.worker), self._namesake, qos=own.qos
        )

    def beat(self) -> None:
        """Say how busy the worker is; call at most twice a second."""
        if self._control.state is not RoadState.READY:
            return
        message = self._presence.load(
            self._tally.snapshot(), queued=self._executor.queued, running=self._executor.running
        )
        self._control.publish(message.topic, message.payload)

    def leave(self, *, timeout_s: float, linger_s: float = 0.0) -> bool:
        """Refuse new work, finish what runs, say goodbye; False where a run outlasted ``timeout_s``.

        ``linger_s``: how long requests are still refused that were sent before their headset heard the goodbye.
        """
        self._say_goodbye()  # first, so that headsets choose another worker meanwhile
        finished = self._executor.drain(timeout_s=timeout_s)
        threading.Event().wait(linger_s)
        self._control.close()  # takes its time to flush, in which the last replies leave
        self._data.close()
        return finished

    def announce(self) -> None:
        """Say again who this worker is, because something about it changed; from any thread."""
        with self._word:
            if not self._presence.leaving:
                self._say(self._presence.online())

    def _resync(self, delivery: Delivery) -> None:
        try:
            order = parse_document(Resync, delivery.payload)
        except MalformedMessage as error:
            _log.warning("a resync was not readable", reason=error.reason.value, detail=error.detail)
            return
        self._later(self._rng.uniform(0, order.jitter_ms / 1000), self.announce)

    def _namesake(self, delivery: Delivery) -> None:
        """Say it once per process when somebody else is online under this worker's id."""
        if not delivery.payload:  # how a retained document is cleared
            return
        try:
            said = parse_document(WorkerPresence, delivery.payload)
        except MalformedMessage as error:
            _log.warning("a presence was not readable", reason=error.reason.value, detail=error.detail)
            return
        if said.online and said.boot_id not in {self._identity.boot_id.hex(), self._rival}:
            self._rival = said.boot_id
            _log.error(
                "another worker is online under this id: stop one of them, or give it an --id of its own",
                worker=self._identity.worker,
                boot_id=said.boot_id,
            )

    def _say_goodbye(self) -> None:
        with self._word:
            if not self._say(self._presence.leave()):
                _log.warning("the goodbye was not accepted: this worker stays online until its will is sent")

    def _say(self, message: Message) -> bool:
        return self._control.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)
