"""Core: from an admitted request to its outcome, and where that happens.

``answer_request`` turns whatever a task does into a result or a refusal. An ``Executor`` decides on which
thread that happens: ``Inline`` on the caller's, ``cloud_worker.slots.Slots`` on its own. Each offered request
ends in exactly one call of ``finish``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cloud_worker.answerers import Answerer
from cloud_worker.errors import CannotAnswerError
from cloud_worker.intake import Intake
from cloud_worker.request import Answer, Refused, Request
from observability import log
from schemas.messages import RefusalReason, Task

_log = log.get("cloud_worker.execute")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Done:
    """A request with its answer; ``started_ns`` is when its turn came."""

    request: Request
    answer: Answer
    started_ns: int


Outcome = Done | Refused
Finish = Callable[[Outcome], None]  # must not raise: it has the last word on a request


class Executor(Protocol):
    """Where admitted requests are answered."""

    @property
    def queued(self) -> int:
        """Requests in line."""
        ...

    @property
    def running(self) -> int:
        """Requests being answered."""
        ...

    def offer(self, request: Request) -> None:
        """Answer a request or refuse it: one call of ``finish``, sooner or later."""
        ...

    def drain(self, *, timeout_s: float) -> bool:
        """Refuse who waits and who comes, wait for who runs, end; False where a run outlasted the time."""
        ...


def answer_request(
    request: Request, answerers: Mapping[Task, Answerer], *, clock_ns: Callable[[], int]
) -> Outcome:
    """Answer one request; whatever its task raises becomes a refusal."""
    started_ns = clock_ns()
    try:
        answer = answerers[request.header.task].answer(request)
    except CannotAnswerError as error:
        return Refused(
            request=request,
            reason=error.reason,
            detail=error.detail,
            retry_after_ms=error.retry_after_ms,
        )
    except Exception as error:  # noqa: BLE001 - a request gets its reply whatever its task does; it is logged
        _log.exception("a task failed", task=request.task_word, device=request.device)
        detail = f"{type(error).__name__} in the task: see the worker's log"
        return Refused(request=request, reason=RefusalReason.INTERNAL, detail=detail)
    return Done(request=request, answer=answer, started_ns=started_ns)


class Inline:
    """Answers on the caller's own thread, for tasks that take no time: no line, no hand-over."""

    queued = 0
    running = 0

    def __init__(
        self,
        intake: Intake,
        *,
        answerers: Mapping[Task, Answerer],
        finish: Finish,
        clock_ns: Callable[[], int],
    ) -> None:
        self._intake = intake
        self._answerers = answerers
        self._finish = finish
        self._clock_ns = clock_ns

    def offer(self, request: Request) -> None:
        """Answer a request or refuse it, before returning."""
        now_ns = self._clock_ns()
        refused = self._intake.offer(request, now_ns=now_ns)
        taken, expired = self._intake.take(now_ns=now_ns)
        for outcome in (*refused, *expired):
            self._finish(outcome)
        if taken is not None:
            self._finish(answer_request(taken, self._answerers, clock_ns=self._clock_ns))
            # it had no slot to itself, so there is nothing to learn for a line
            self._intake.ran(taken, took_ns=0, now_ns=now_ns, answered=False)

    def drain(self, *, timeout_s: float) -> bool:  # noqa: ARG002 - nothing here takes time
        """Refuse who comes from now on."""
        self._intake.drain()
        return True
