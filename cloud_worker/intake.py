"""Pure core: admit a request or refuse it, and say which one runs next.

``CHECKS`` is the table of reasons for a refusal, first match wins. What is admitted waits in one line that is bounded
by time: who cannot be begun in time, as run times by experience go, is told so at once and when to try again.
Each headset has at most one request in line, a newer one takes its place (fresh beats complete for frames). While
headsets are turned away, one that got more run time than another has to leave room in line, so refusals go round.

Every request that goes in comes out exactly once: taken, or as a ``Refused`` that the caller must send. Whoever takes
one says with ``ran`` that it ended. Reads no clock, no bytes and no pixels; whoever shares one between threads holds
a lock around it.
"""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloud_worker.line import Line, Waiting
from cloud_worker.request import Refused, Request, Work
from cloud_worker.run_times import RunTimes, kind_of
from cloud_worker.shares import Shares
from schemas.messages import Frame, Part, RefusalReason, Task
from schemas.placements import WHOLE_TASK

NO_DIGEST = bytes(32)
SURE = 0.95  # of the runs stay within what a run is expected to take
NS_PER_MS = 1_000_000


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
    """``placements``: cuts this worker can finish; 0 is the whole model.

    ``depth``: headsets in line, to bound memory: time bounds the line long before. ``reserved``: the part of the
    line that is closed to a headset that got more than every one that is turned away. ``retry_after_ms``: said where none is known.
    """

    offers: Mapping[Task, Offer]
    placements: frozenset[int] = frozenset({0})
    slots: int = 1
    depth: int = 1024
    reserved: float = 0.6
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
        self._line = Line()
        self._running: dict[Request, tuple[int, int]] = {}  # when it began and what it was expected to take
        self._run_times = RunTimes()
        self._shares = Shares()

    def __len__(self) -> int:
        return len(self._line)

    @property
    def first(self) -> Waiting | None:
        """Whose turn is next."""
        return next(iter(self._line), None)

    def offer(self, request: Request, *, now_ns: int) -> tuple[Refused, ...]:
        """Take a request in; returns who is refused: it, the one it replaces, and those that waited too long."""
        expired = self._expire(now_ns)
        newcomer = Waiting(request=request, run_ns=self._run_ns(request, now_ns=now_ns))
        refused = self._judge(newcomer, now_ns=now_ns)
        if refused is not None:
            return (*expired, refused)
        self._shares.see(request.device, now_ns=now_ns)
        older = self._line.of(request.device)
        refused = (
            self._admit(newcomer, now_ns=now_ns)
            if older is None
            else self._renew(older, by=newcomer, now_ns=now_ns)
        )
        return expired if refused is None else (*expired, refused)

    def take(self, *, now_ns: int, behind_ns: int = 0) -> tuple[Request | None, tuple[Refused, ...]]:
        """The next request to run (None: there is none), and those whose budget ran out in line.

        ``behind_ns``: how long from now it has to wait for others of its batch.
        """
        expired = self._expire(now_ns)
        first = self.first
        if first is None:
            return None, expired
        request, run_ns = first.request, self._run_ns(first.request, now_ns=now_ns)
        if request.left_at(now_ns) <= behind_ns + run_ns:  # another slot may still be in time
            return None, expired
        self._line.pop()
        self._running[request] = (now_ns + behind_ns, run_ns)
        self._shares.charge(request.device, run_ns=run_ns, now_ns=now_ns)
        return request, expired

    def ran(self, request: Request, *, took_ns: int, now_ns: int, answered: bool = True) -> None:
        """Note that one who was taken had so much of a slot; answers teach how long the next ones take."""
        _, charged_ns = self._running.pop(request, (0, 0))
        self._shares.charge(request.device, run_ns=took_ns - charged_ns, now_ns=now_ns)
        if answered:
            self._run_times.add(took_ns, kind=kind_of(request), now_ns=now_ns)

    def drain(self) -> tuple[Refused, ...]:
        """Refuse everything from now on; returns who was still in line."""
        self.draining = True
        waiting = []
        while len(self._line):
            waiting.append(_draining(self._line.pop().request))
        return tuple(waiting)

    def _expire(self, now_ns: int) -> tuple[Refused, ...]:
        """Refuse those in line that have no time left for a run: the sooner they hear it, the better."""

        def needed_ns(request: Request) -> int:
            return self._run_ns(request, now_ns=now_ns)

        hopeless = self._line.drop(lambda request: request.left_at(now_ns) <= needed_ns(request))
        return tuple(_expired(row, now_ns=now_ns, needed_ns=needed_ns(row)) for row in hopeless)

    def _judge(self, newcomer: Waiting, *, now_ns: int) -> Refused | None:
        """Why a request is refused whoever else waits."""
        request, needed_ns = newcomer.request, newcomer.run_ns
        if self.draining:
            return _draining(request)
        for reason, check in CHECKS:
            if (detail := check(request, self._config)) is not None:
                return Refused(request=request, reason=reason, detail=detail)
        if request.left_at(now_ns) <= needed_ns:
            return _expired(request, now_ns=now_ns, needed_ns=needed_ns)
        return None

    def _admit(self, newcomer: Waiting, *, now_ns: int) -> Refused | None:
        """Put a headset in line that does not wait yet, unless there is no room for it."""
        device = newcomer.request.device
        part = 1.0 - self._config.reserved * self._shares.surplus(device, now_ns=now_ns)

        def passes(ahead: Waiting) -> bool:
            other, run_ns = ahead.request.device, newcomer.run_ns
            return self._shares.is_poorer(device, other, by_ns=run_ns, now_ns=now_ns)

        place = self._line.place_for(newcomer, free_ns=self._free_ns(now_ns), now_ns=now_ns, passes=passes)
        latest_ns = newcomer.request.left_at(now_ns) - newcomer.run_ns
        # at once is never too late, or slots would idle while requests are refused
        late_ns: float = place.begin_ns - latest_ns if place.begin_ns else -1
        if part < 1 and place.line_ns:  # going ahead of others makes the line no shorter
            late_ns = max(late_ns, place.line_ns - part * latest_ns)
        if late_ns >= 0 or len(self._line) >= max(1, part * self._config.depth):
            self._shares.refuse(device, now_ns=now_ns)
            detail = (
                f"{len(self._line)} headsets are in line for {place.line_ns / 1e6:.0f} ms: try another worker"
            )
            return self._busy(newcomer.request, detail, wait_ns=late_ns)
        self._shares.admit(device)
        self._line.insert(newcomer, index=place.index)
        return None

    def _renew(self, older: Waiting, *, by: Waiting, now_ns: int) -> Refused | None:
        """Give a headset's place to its newer request, unless only the older one can be begun in time there."""
        begin_ns = self._line.begin_ns(older, free_ns=self._free_ns(now_ns))
        if (
            by.spare_ns(begin_ns=begin_ns, now_ns=now_ns)
            <= 0
            < older.spare_ns(begin_ns=begin_ns, now_ns=now_ns)
        ):
            detail = f"frame {older.request.header.frame_id} of this headset has the place, for which this is too late"
            return self._busy(by.request, detail, wait_ns=begin_ns + older.run_ns)
        self._line.replace(older, by=by)
        detail = f"frame {by.request.header.frame_id} came before this one got its turn"
        return self._busy(older.request, detail, wait_ns=begin_ns + by.run_ns)

    def _free_ns(self, now_ns: int) -> list[int]:
        """How long from now each slot is expected to be free."""
        free_ns = [0] * self._config.slots
        for began_ns, run_ns in self._running.values():
            heapq.heapreplace(free_ns, free_ns[0] + _remaining_ns(run_ns, elapsed_ns=now_ns - began_ns))
        return free_ns

    def _run_ns(self, request: Request, *, now_ns: int) -> int:
        """What a run of this kind needs by experience; 0 before the first, which nobody is refused for."""
        return self._run_times.at(SURE, kind=kind_of(request), now_ns=now_ns) or 0

    def _busy(self, request: Request, detail: str, *, wait_ns: float) -> Refused:
        """``wait_ns``: how long from now there should be room."""
        retry_ms = math.ceil(wait_ns / NS_PER_MS) if wait_ns > 0 else self._config.retry_after_ms
        return Refused(request=request, reason=RefusalReason.BUSY, detail=detail, retry_after_ms=retry_ms)


def _remaining_ns(run_ns: int, *, elapsed_ns: int) -> int:
    """What is left of a run. One that is overdue is expected to take as long again as it is overdue."""
    return abs(run_ns - elapsed_ns) if run_ns else 0


def _draining(request: Request) -> Refused:
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
