"""Core: see once before frames count. The first runs of an engine are ten times slower, and frame 0 needs a memory."""

from collections.abc import Callable

import structlog

from edge_node.frames import Source
from edge_node.journey import Journey

_log = structlog.get_logger("edge_node.priming")
RUNS = 2


def prime(journey: Journey, source: Source, *, clock_ns: Callable[[], int]) -> None:
    """Look at the source's first frame; where that fails, frames are carried without a memory and it is logged."""
    engine = journey.local.engine
    for _ in range(RUNS):
        captured_ns = clock_ns()
        captured = source.capture(0)
        if captured is None:
            return
        try:
            seen = engine.task.run(captured.image)
        except Exception as error:  # noqa: BLE001 - any failure of a model; frames are carried without it
            _log.warning("the first look failed", error=str(error) or repr(error))
            return
        journey.answers.prime(seen, captured_ns=captured_ns, model=engine.label)
