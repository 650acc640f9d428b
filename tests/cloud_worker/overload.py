"""A worker under more load than it can answer, on a virtual clock: the real intake, slots that only take time."""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.request import Refused, Request
from schemas.messages import Task
from tests.cloud_worker.builders import MS, frame, request

S = 1_000 * MS
MESSAGE = frame()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one headset asks for. ``jitter`` is the part of its period by which a request may be early or late."""

    period_ms: float
    run_ms: float = 20.0
    spread: float = 0.2  # of the logarithm of its run times
    budget_ms: float = 150.0
    jitter: float = 0.3


@dataclass(slots=True)
class Seen:
    """What happened, after the first second."""

    ran: Counter[str] = field(default_factory=Counter)
    run_ns: Counter[str] = field(default_factory=Counter)
    refused_waited_ns: list[int] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    retries_ms: list[int] = field(default_factory=list)
    begun_expired: int = 0
    ended_late: int = 0
    longest_gap_ns: dict[str, int] = field(default_factory=dict)

    def jain(self, devices: Mapping[str, Load], *, of: Counter[str] | None = None) -> float:
        shares = [(of or self.ran)[device] for device in devices]
        return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def overload(devices: Mapping[str, Load], *, slots: int = 1, seconds: float = 20.0, seed: int = 1) -> Seen:
    """Play it; times are nanoseconds of a clock that begins at 0."""
    return _Play(devices, slots=slots, rng=random.Random(seed)).run(round(seconds * S))


class _Play:
    def __init__(self, devices: Mapping[str, Load], *, slots: int, rng: random.Random) -> None:
        self._devices = devices
        self._free = slots
        self._rng = rng
        self._seen = Seen()
        self._intake = Intake(IntakeConfig(offers={Task.HANDS: Offer()}, slots=slots))
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._tickets = count()
        self._now_ns = 0
        self._ended_ns: dict[str, int] = {}  # when the last run of each ended

    def run(self, until_ns: int) -> Seen:
        for device, load in self._devices.items():
            self._after(self._rng.uniform(0, load.period_ms), partial(self._send, device))
        while self._agenda[0][0] < until_ns:
            self._now_ns, _, call = heapq.heappop(self._agenda)
            call()
        return self._seen

    def _after(self, wait_ms: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self._now_ns + round(wait_ms * MS), next(self._tickets), call))

    def _send(self, device: str) -> None:
        load = self._devices[device]
        left_ns = round(load.budget_ms * MS)
        asked = request(device, message=MESSAGE, received_ns=self._now_ns, left_ns=left_ns)
        self._note(self._intake.offer(asked, now_ns=self._now_ns))
        self._fill()
        wait_ms = load.period_ms * (1 + self._rng.uniform(-load.jitter, load.jitter))
        self._after(wait_ms, partial(self._send, device))

    def _fill(self) -> None:
        while self._free and len(self._intake):
            taken, expired = self._intake.take(now_ns=self._now_ns)
            self._note(expired)
            if taken is not None:
                self._free -= 1
                load = self._devices[taken.device]
                took_ms = load.run_ms * self._rng.lognormvariate(0, load.spread)
                self._seen.begun_expired += taken.left_at(self._now_ns) <= 0
                self._after(took_ms, partial(self._end, taken, round(took_ms * MS)))

    def _end(self, taken: Request, took_ns: int) -> None:
        self._free += 1
        self._intake.ran(taken, took_ns=took_ns, now_ns=self._now_ns)
        seen, device = self._seen, taken.device
        if self._now_ns >= S:
            seen.ran[device] += 1
            seen.run_ns[device] += took_ns
            seen.ended_late += taken.left_at(self._now_ns) < 0
            gap_ns = self._now_ns - self._ended_ns.get(device, self._now_ns)
            seen.longest_gap_ns[device] = max(gap_ns, seen.longest_gap_ns.get(device, 0))
            self._ended_ns[device] = self._now_ns
        self._fill()

    def _note(self, refused: tuple[Refused, ...]) -> None:
        for row in refused if self._now_ns >= S else ():
            self._seen.reasons[row.reason.name] += 1
            self._seen.refused_waited_ns.append(self._now_ns - row.request.received_ns)
            self._seen.retries_ms.append(row.retry_after_ms)
