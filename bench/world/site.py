"""Pure core: what stands at the other end of the link: a broker that may stop or die, and a worker with slots.

The worker's line is the real ``cloud_worker.intake``; its run times are a stated distribution. Ends of faults are
known to the world only.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.world.agenda import Agenda, Draws
from cloud_worker.intake import Intake, IntakeConfig, Offer
from cloud_worker.request import Refused, Request
from edge_node.accelerator import interpolate
from edge_node.device_class import Quantile
from schemas.messages import Task

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
WORKER = "w-1"
RUN_MS = (
    4.8,
    5.2,
    6.0,
    7.4,
    10.0,
    18.0,
)  # a site worker with a small GPU, at the fractions of a device class
DECODE_NS = 700_000
SLOTS = 2
HOP_NS = 450_000  # of the broker
Reply = Callable[[Request, str, int, int, int], None]  # request, refusal, queue and run in ns, retry in ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong: broker-kill, broker-stop, worker-kill."""

    kind: str
    at_s: float
    for_s: float

    def holds(self, now_ns: int) -> bool:
        """Whether it goes on at this time."""
        return self.at_s * NS_PER_S <= now_ns < self.end_ns

    @property
    def end_ns(self) -> int:
        """When it ends."""
        return round((self.at_s + self.for_s) * NS_PER_S)


class Broker:
    """Hands messages on. A killed one loses what reaches it, a stopped one keeps it until it goes on."""

    def __init__(self, faults: tuple[Fault, ...], *, hop_ns: int = HOP_NS) -> None:
        self._kills = [fault for fault in faults if fault.kind == "broker-kill"]
        self._stops = [fault for fault in faults if fault.kind == "broker-stop"]
        self._hop_ns = hop_ns

    def passes_ns(self, at_ns: int) -> int | None:
        """When a message that reaches it now leaves it; None: never."""
        for stop in self._stops:
            if stop.holds(at_ns):
                at_ns = stop.end_ns
        return None if any(kill.holds(at_ns) for kill in self._kills) else at_ns + self._hop_ns


class Worker:
    """One worker: the real line, and slots that only take time."""

    def __init__(
        self,
        agenda: Agenda,
        *,
        draws: Draws,
        faults: tuple[Fault, ...],
        slots: int = SLOTS,
        run_ms: Quantile = RUN_MS,
    ) -> None:
        self._agenda, self.run_ms = agenda, run_ms
        self._draws = draws
        self._kills = [fault for fault in faults if fault.kind == "worker-kill"]
        self._count = slots
        self.reset()

    def reset(self) -> None:
        """Begin as a new process: what waited and ran is gone."""
        self._intake = Intake(IntakeConfig(offers={Task.HANDS: Offer()}, slots=self._count))
        self._free = self._count
        self._replies: dict[Request, Reply] = {}

    def is_down(self, now_ns: int) -> bool:
        """Whether nobody is there."""
        return any(kill.holds(now_ns) for kill in self._kills)

    def offer(self, request: Request, *, reply: Reply) -> None:
        """A request arrives."""
        now_ns = self._agenda.now_ns
        if self.is_down(now_ns):
            return
        self._replies[request] = reply
        self._refuse(self._intake.offer(request, now_ns=now_ns))
        self._fill()

    def _fill(self) -> None:
        while self._free and len(self._intake):
            request, expired = self._intake.take(now_ns=self._agenda.now_ns)
            self._refuse(expired)
            if request is not None:
                self._begin(request)

    def _begin(self, request: Request) -> None:
        self._free -= 1
        intake, queue_ns = self._intake, self._agenda.now_ns - request.received_ns
        share = self._draws.share(f"worker run {request.device}", request.header.frame_id)
        run_ns = round(interpolate(self.run_ms, fraction=share) * NS_PER_MS)

        def end() -> None:
            if self._intake is not intake:  # it died meanwhile
                return
            self._free += 1
            intake.ran(request, took_ns=DECODE_NS + run_ns, now_ns=self._agenda.now_ns)
            self._replies.pop(request)(request, "", queue_ns, run_ns, 0)
            self._fill()

        self._agenda.at(self._agenda.now_ns + DECODE_NS + run_ns, end)

    def _refuse(self, refused: tuple[Refused, ...]) -> None:
        for row in refused:
            waited_ns = self._agenda.now_ns - row.request.received_ns
            self._replies.pop(row.request)(
                row.request, row.reason.name.lower(), waited_ns, 0, row.retry_after_ms
            )
