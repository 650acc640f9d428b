"""Structured logs to stderr, for people or as JSON lines. Shell: owns the process's logging set-up.

``configure`` is called once, by a ``main``; everyone else calls ``get`` and logs an event with fields:
``log.info("frame_refused", reason="busy", frame_id=7)``. stdout stays free for a command's answer.
"""

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from observability.errors import LogError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Sink:
    """Where lines go: a given stream, or whatever stderr is at the moment.

    A reader that went away costs the line and is counted: it must never end the thread that had something to
    say, which may be the one that drives the road.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.failures = 0
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or count what could not be written."""
        try:
            return self._target.write(text)
        except (OSError, ValueError):  # a broken pipe; a closed stream
            self.failures += 1
            return 0

    def flush(self) -> None:
        """Pass on."""
        try:
            self._target.flush()
        except (OSError, ValueError):
            self.failures += 1

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self._target.isatty()

    @property
    def _target(self) -> TextIO:
        return sys.stderr if self._stream is None else self._stream


def configure(
    service: str, node: str = "", *, json: bool = False, level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up the logs of this process; ``service`` and ``node`` stand in every line.

    Raises:
        LogError: ``level`` is none of ``LEVELS``.
    """
    if level not in LEVELS:
        raise LogError(f"log level {level!r} does not exist; choose one of {', '.join(LEVELS)}")
    target = Sink(stream)
    identity = {"service": service, **({"node": node} if node else {})}
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if json
        else [
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(),
                # The default one prints every local variable, a frame's bytes too, which takes seconds.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda _logger, _method, event: {**identity, **event},
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", target)),
        cache_logger_on_first_use=False,
    )


def get(name: str) -> FilteringBoundLogger:
    """The logger of a part of a room; its ``name`` stands in every line as ``part``."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))
