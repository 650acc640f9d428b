"""Send mutants to a live worker: each that breaks the contract must come back as a refusal.

Shell: owns one road. What the codec refuses here, the worker must refuse there; what is still a good message
is answered or, where only its payload changed, counted by the worker as a repeat; the worker's own report at its
end says whether each was. The worker must answer a good ping afterwards, or it did not survive.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from bench.mutants import Mutant
from broker.reactor import Reactor
from broker.road import Delivery, Road, RoadState, Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.codec import Encoder, decode
from schemas.errors import MalformedMessage
from schemas.messages import Ping, Refusal, RefusalReason, Task
from schemas.topics import topic, topic_filter
from schemas.verify import check_sender

DEVICE = "fuzz"
TASK = "hands"
BATCH = 50  # mutants under way at once
PATIENCE_S = 10.0
POLL_S = 0.001


@dataclass(slots=True)
class WorkerReport:
    """What the worker made of the mutants. ``unanswered`` must be 0 and ``alive`` true."""

    sent: int = 0
    expected_refusals: int = 0
    refusals: int = 0
    other_replies: int = 0
    pongs: int = 0
    unanswered: int = 0
    alive: bool = False
    unaccounted: list[str] | None = None  # where the worker's own report says otherwise; None: it gave none

    @property
    def passed(self) -> bool:
        """Every broken message was refused, each good one accounted for, and the worker still answers."""
        return self.alive and not self.unanswered and not self.unaccounted

    def compare(self, ended: Mapping[str, Any]) -> None:
        """Set what was sent and heard here against the worker's own report at its end."""
        refused = sum(ended["refused"].values())
        malformed = ended["refused"].get("malformed", 0)
        replied = ended["answered"] + ended["pings"] + refused - malformed
        ends = ended["repeats"] + ended["pings"] + ended["answered"] + refused
        rows = {
            "received": (ended["received"], self.sent + 1),  # and the ping at the end
            "refused as malformed": (malformed, self.refusals),
            "malformed by reason": (sum(ended["malformed"].values()), self.refusals),
            "replies to what was accepted": (replied, self.other_replies + self.pongs),
            "ends of what it received": (ends, ended["received"]),
        }
        self.unaccounted = [
            f"{what}: the worker counted {theirs}, {ours} are due"
            for what, (theirs, ours) in rows.items()
            if theirs != ours
        ]


class LiveWorker:
    """The fuzzer's end of the road to one worker."""

    def __init__(self, road: Road, *, site: str, worker: str) -> None:
        self._road = road
        self._site = site
        self._worker = worker
        self._report = WorkerReport()
        road.subscribe(topic_filter("result", site=site, device=DEVICE), self._hear)

    def _hear(self, delivery: Delivery) -> None:
        message = decode(bytes(delivery.payload), stream="result")
        if isinstance(message, Refusal) and message.reason is RefusalReason.MALFORMED:
            self._report.refusals += 1
        elif message.header.task is Task.PING:
            self._report.pongs += 1
        else:
            self._report.other_replies += 1

    def fuzz(self, mutants: Iterable[Mutant], *, ping: Ping) -> WorkerReport:
        """Send all mutants in batches and account for each; ``ping`` is a good one."""
        report = self._report
        source = iter(mutants)
        while batch := list(islice(source, BATCH)):
            for mutant in batch:
                self._send(mutant.data, task=TASK)
                report.sent += 1
                report.expected_refusals += self._is_broken(mutant.data)
            if not _until(lambda: report.refusals >= report.expected_refusals):
                break  # lost ones do not come back; the next batch would only hide how many
        report.unanswered = report.expected_refusals - report.refusals
        header = replace(ping.header, task=Task.PING, boot_id=b"\x55" * 16)  # no repeat of a mutant
        self._send(Encoder().encode(replace(ping, header=header)), task=Task.PING.name.lower())
        report.alive = _until(lambda: report.pongs > 0)
        return report

    def _send(self, payload: bytes, *, task: str) -> None:
        self._road.publish(
            topic("infer", site=self._site, device=DEVICE, worker=self._worker, task=task), payload
        )

    def _is_broken(self, data: bytes) -> bool:
        try:
            check_sender({"task": TASK}, decode(data, stream="infer"))
        except MalformedMessage:
            return True
        return False


def _until(happened: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def fuzz_worker(url: str, mutants: Iterable[Mutant], *, site: str, worker: str, ping: Ping) -> WorkerReport:
    """Fuzz the worker ``worker`` of ``site`` behind the broker at ``url``.

    Raises:
        ConnectionError: the broker did not answer.
    """
    config = SessionConfig(
        url=url,
        client_id=f"d-{DEVICE}",
        echo_topic=topic("device-echo", site=site, device=DEVICE, traffic="control"),
        traffic=Traffic.CONTROL,  # complete beats fresh: a data road would drop all mutants but the newest
    )
    with Reactor(name=DEVICE) as reactor:
        road = Session(config, reactor=reactor)
        try:
            if not _until(lambda: road.state is RoadState.READY):
                raise ConnectionError(f"no broker answers at {url}: start one, or correct --worker")
            return LiveWorker(road, site=site, worker=worker).fuzz(mutants, ping=ping)
        finally:
            road.close()
