"""Pure core: pings: to the worker in question while nothing leaves, and now and then to others that could be asked.

A ping is 64 bytes of payload; its answer teaches the route like a frame's, at less weight. Sends through the port it
was given; times are passed in.
"""

from collections.abc import Sequence
from typing import Protocol

from edge_node.policies.base import Policy
from edge_node.routes import Routes
from edge_node.workers import WorkerBook
from schemas.documents import SplitConfig

NS_PER_MS = 1_000_000
OTHERS_NS = 500_000_000  # between probes of workers that frames do not go to but could


class PingPort(Protocol):
    """What carries pings."""

    def send_ping(self, ping_id: int, *, worker: str, budget_ns: int) -> int:
        """Send a probe; its bytes, 0 where it could not be put on the way."""


class Probes:
    """The pings of one headset that are out, and when the next one leaves."""

    def __init__(self, port: PingPort, *, workers: WorkerBook, routes: Routes) -> None:
        self._port, self._workers, self._routes = port, workers, routes
        self.lost = 0
        self.sent_bytes = 0
        self._config = SplitConfig()
        self._out: dict[int, tuple[int, str]] = {}  # id -> when it counts as lost, and the worker
        self._next_id = 0
        self._next_ns: int | None = None
        self._next_other_ns = 0
        self._others_asked = 0

    def use(self, config: SplitConfig) -> None:
        """Probe by this configuration."""
        self._config = config

    def heard(self, ping_id: int) -> bool:
        """An answer came: whether it was still waited for."""
        return self._out.pop(ping_id, None) is not None

    def may_ask_others(self, now_ns: int) -> bool:
        """Whether it is time to probe one of the others."""
        return now_ns >= self._next_other_ns

    def tick(self, policy: Policy, *, ready: bool, others: Sequence[str], now_ns: int) -> int | None:
        """Count lost probes and send those that are due. ``others``: whom frames could go to instead.

        Says when it has something to do again; others are probed when anything else wakes the headset.
        """
        if self._out:
            self._count_lost(policy, now_ns=now_ns)
        if others and ready and self.may_ask_others(now_ns):
            self._next_other_ns = now_ns + OTHERS_NS
            self._others_asked += 1
            self._send(sorted(others)[self._others_asked % len(others)], now_ns=now_ns)
        if not policy.wants_probes():
            self._next_ns = None
        elif self._next_ns is None or now_ns >= self._next_ns:
            self._next_ns = now_ns + self._config.probe_interval_ms * NS_PER_MS
            worker = self._workers.choose_for_probe(self._config.worker, now_ns=now_ns)
            if worker is not None and ready:
                self._send(worker, now_ns=now_ns)
        if not self._out:
            return self._next_ns
        lost_ns = min(lost_ns for lost_ns, _ in self._out.values())
        return lost_ns if self._next_ns is None else min(lost_ns, self._next_ns)

    def _count_lost(self, policy: Policy, *, now_ns: int) -> None:
        for ping_id in [ping_id for ping_id, (due_ns, _) in self._out.items() if now_ns >= due_ns]:
            _, worker = self._out.pop(ping_id)
            self._routes.lose(worker, ping_id, ping=True, now_ns=now_ns)
            self.lost += 1
            policy.on_loss("a probe is missing")

    def _send(self, worker: str, *, now_ns: int) -> None:
        timeout_ns = round(self._config.reply_timeout_ms * NS_PER_MS)
        ping_bytes = self._port.send_ping(self._next_id, worker=worker, budget_ns=timeout_ns)
        if ping_bytes:
            self.sent_bytes += ping_bytes
            self._out[self._next_id] = (now_ns + timeout_ns, worker)
            self._routes.ping_left(worker, self._next_id, payload_bytes=ping_bytes, now_ns=now_ns)
        self._next_id += 1
