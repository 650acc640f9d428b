"""Everything a worker can refuse, under one base class.

Vocabulary. *We* misused something, or the *peer* did::

    WorkerError
    ├── WorkerConfigError   the worker was asked to run what it cannot; says what to change
    └── CannotAnswerError   one request cannot be answered; becomes a refusal, never ends the worker
"""

from schemas.messages import RefusalReason


class WorkerError(Exception):
    """Base of every error this room raises."""


class WorkerConfigError(WorkerError):
    """The worker cannot start as asked: a model, task or runtime does not fit."""


class CannotAnswerError(WorkerError):
    """One request has no answer. ``reason`` goes on the wire, ``detail`` says what to change.

    ``retry_after_ms``: when the same request may be answered, 0 where that will not change.
    """

    def __init__(self, reason: RefusalReason, detail: str, *, retry_after_ms: int = 0) -> None:
        super().__init__(f"{reason.name.lower()}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after_ms = retry_after_ms
