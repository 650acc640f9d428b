"""Pure core: admit a request or refuse it, and say which one runs next.

``CHECKS`` is the table of reasons for a refusal, first match wins. What is admitted waits in one bounded line:
each headset has at most one request in it, a newer one takes its place *and its turn* (fresh beats complete
for frames), and turns go round, so that a headset that sends twice as often gets no larger share.

Every request that goes in comes out exactly once: taken, or as a ``Refused`` that the caller must send.
Reads no clock, no bytes and no pixels; whoever shares one between threads holds a lock around it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloud_worker.request import Refused, Request, Work
from cloud_worker.run_times import RunTimes
from schemas.messages import Frame, Part, RefusalReason, Task
from schemas.placements import WHOLE_TASK

NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the worker takes for one task: message kinds and model digests (32 bytes each).

    ``part_models``: those of which parts are answered; which parts is known to whoever answers them.
    """

    kinds: tuple[type[Work], ...] = (Frame,)
    models: frozenset[bytes] = frozenset()
    part_models: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeConfig:
    """``placements``: cuts this worker can finish; 0 is the whole model. ``depth``: headsets in line."""

    offers: Mapping[Task, Offer]
    placements: frozenset[int] = frozenset({0})
    depth: int = 16
    max_pixels: int = 4096 * 2160
    retry_after_ms: int = 100


Check = Callable[[Request, IntakeConfig], str | None]


def _unsupported(request: Request, config: IntakeConfig) -> str | None:
    offer = config.offers.get(request.header.task)
    offered = ", ".join(sorted(task.name.lower() for task in config.offers)) or "nothing"
    if offer is None:
        return f"this worker offers {offered}: choose a worker whose presence names the task"
    if not isinstance(request.message, (*offer.kinds, Part)):
        kinds = ", ".join(kind.__name__ for kind in offer.kinds)
        return f"{request.task_word} takes {kinds}, not {type(request.message).__name__}"
    return None


def _unknown_placement(request: Request, config: IntakeConfig) -> str | None:
    placement = request.header.placement_id
    # live tensors always belong to a cut; placement 0 is the whole task, which starts from pixels
    live = isinstance(request.message, Part)
    if live and placement != WHOLE_TASK and config.offers[request.header.task].part_models:
        return None
    if placement in config.placements and not (live and placement == WHOLE_TASK):
        return None
    known = ", ".join(str(known) for known in sorted(config.placements))
    return f"{type(request.message).__name__} with placement {placement}; this worker knows {known}"


def _unknown_model(request: Request, config: IntakeConfig) -> str | None:
    digest = request.header.model_digest
    offer = config.offers[request.header.task]
    if isinstance(request.message, Part):  # positions mean nothing without the model they count in
        if digest in offer.part_models or not offer.part_models:
            return None
        return f"no parts of model {digest.hex()[:12]}… here: ask a worker whose presence names its kernels"
    if digest == NO_DIGEST or digest in offer.models:
        return None
    return f"model {digest.hex()[:12]}… is not loaded here: ask for one that the worker's presence names"


def _too_large(request: Request, config: IntakeConfig) -> str | None:
    message = request.message
    if not isinstance(message, Frame) or message.width_px * message.height_px <= config.max_pixels:
        return None
    return f"{message.width_px}x{message.height_px} pixels, allowed are {config.max_pixels}: send a smaller frame"


CHECKS: tuple[tuple[RefusalReason, Check], ...] = (
    (RefusalReason.UNSUPPORTED_TASK, _unsupported),
    (RefusalReason.UNKNOWN_PLACEMENT, _unknown_placement),
    (RefusalReason.UNKNOWN_MODEL, _unknown_model),
    (RefusalReason.TOO_LARGE, _too_large),
)


class Intake:
    """The line of admitted requests."""

    def __init__(self, config: IntakeConfig) -> None:
        self.draining = False
        self._config = config
        self._line: OrderedDict[str, Request] = OrderedDict()
        self._run_times = RunTimes()

    def __len__(self) -> int:
        return len(self._line)

    @property
    def oldest_received_ns(self) -> int | None:
        """When the request whose turn is next was received."""
        return next(iter(self._line.values())).received_ns if self._line else None

    def offer(self, request: Request, *, now_ns: int) -> tuple[Refused, ...]:
        """Take a request in; returns who is refused by that: it, the one it replaces, or nobody."""
        refused = self._judge(request, now_ns=now_ns)
        if refused is not None:
            return (refused,)
        older = self._line.get(request.device)
        self._line[request.device] = request  # a key that exists keeps its place in the order
        return () if older is None else (self._superseded(older, by=request, now_ns=now_ns),)

    def take(self, *, now_ns: int) -> tuple[Request | None, tuple[Refused, ...]]:
        """The next request to run (None: the line is empty), and those whose budget ran out in line."""
        expired: list[Refused] = []
        while self._line:
            _, request = self._line.popitem(last=False)
            needed_ns = self._run_ns(request, now_ns=now_ns)
            if request.left_at(now_ns) > needed_ns:
                return request, tuple(expired)
            expired.append(_expired(request, now_ns=now_ns, needed_ns=needed_ns))
        return None, tuple(expired)

    def ran(self, request: Request, *, took_ns: int, now_ns: int) -> None:
        """Note that an answer took so much of a slot: what has less than that left is not begun."""
        self._run_times.add(took_ns, task=request.header.task, now_ns=now_ns)

    def drain(self) -> tuple[Refused, ...]:
        """Refuse everything from now on; returns who was still in line."""
        self.draining = True
        waiting = tuple(self._draining(request) for request in self._line.values())
        self._line.clear()
        return waiting

    def _judge(self, request: Request, *, now_ns: int) -> Refused | None:
        if self.draining:
            return self._draining(request)
        for reason, check in CHECKS:
            if (detail := check(request, self._config)) is not None:
                return Refused(request=request, reason=reason, detail=detail)
        needed_ns = self._run_ns(request, now_ns=now_ns)
        if request.left_at(now_ns) <= needed_ns:
            return _expired(request, now_ns=now_ns, needed_ns=needed_ns)
        if len(self._line) >= self._config.depth and request.device not in self._line:
            detail = f"{self._config.depth} headsets are in line: try another worker"
            return self._busy(request, detail)
        return None

    def _run_ns(self, request: Request, *, now_ns: int) -> int:
        """What a run of this task needs by experience; 0 before the first, which nobody is refused for."""
        return self._run_times.at(0.95, task=request.header.task, now_ns=now_ns) or 0

    def _superseded(self, older: Request, *, by: Request, now_ns: int) -> Refused:
        if older.left_at(now_ns) <= 0:
            return _expired(older, now_ns=now_ns)
        return self._busy(older, f"frame {by.header.frame_id} came before this one got its turn")

    def _busy(self, request: Request, detail: str) -> Refused:
        retry_ms = self._config.retry_after_ms
        return Refused(request=request, reason=RefusalReason.BUSY, detail=detail, retry_after_ms=retry_ms)

    def _draining(self, request: Request) -> Refused:
        detail = "this worker is shutting down: choose another one"
        return Refused(request=request, reason=RefusalReason.DRAINING, detail=detail)


def _expired(request: Request, *, now_ns: int, needed_ns: int = 0) -> Refused:
    left_ms = request.left_at(now_ns) / 1e6
    advice = "give frames more time or choose a nearer worker"
    if left_ms > 0:
        detail = f"{left_ms:.1f} ms of its budget are left and a run takes {needed_ns / 1e6:.1f} ms: {advice}"
    else:
        detail = f"its budget was over {-left_ms:.1f} ms ago: {advice}"
    return Refused(request=request, reason=RefusalReason.EXPIRED, detail=detail)
