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


def configure(
    service: str, node: str = "", *, json: bool = False, level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up the logs of this process; ``service`` and ``node`` stand in every line.

    Raises:
        LogError: ``level`` is none of ``LEVELS``.
    """
    if level not in LEVELS:
        raise LogError(f"log level {level!r} does not exist; choose one of {', '.join(LEVELS)}")
    target = stream if stream is not None else sys.stderr
    identity = {"service": service, **({"node": node} if node else {})}
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if json
        else [structlog.dev.ConsoleRenderer(colors=target.isatty())]
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
        logger_factory=structlog.PrintLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )


def get(name: str) -> FilteringBoundLogger:
    """The logger of a part of a room; its ``name`` stands in every line as ``part``."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))
