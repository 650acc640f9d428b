"""W3C trace context: one trace id from a frame's capture to its answer. Core: randomness is passed in.

Ids travel as bytes in the header of every data message and as ``traceparent`` text everywhere else.
Refuses all-zero ids, which the specification reserves for "none".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from observability.errors import TraceError

TRACE_BYTES = 16
SPAN_BYTES = 8
Rng = Callable[[int], bytes]  # as os.urandom or random.Random(seed).randbytes

# version 00 has exactly four parts; a higher version may append more after another dash
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A span of a trace: ``trace_id`` is 16 bytes and stays, ``span_id`` is 8 bytes and changes per step."""

    trace_id: bytes
    span_id: bytes
    sampled: bool = True

    def __post_init__(self) -> None:
        """Refuse ids of a wrong length or of zeros only."""
        for name, value, size in (
            ("trace id", self.trace_id, TRACE_BYTES),
            ("span id", self.span_id, SPAN_BYTES),
        ):
            if len(value) != size or not any(value):
                raise TraceError(f"a {name} is {size} bytes that are not all zero, got {value.hex()!r}")


def _random_id(rng: Rng, size: int) -> bytes:
    value = rng(size)
    while not any(value):  # once in 2**64 draws
        value = rng(size)
    return value


def new_trace(rng: Rng) -> Trace:
    """The first span of a new trace. ``rng`` gives n random bytes, as ``os.urandom``."""
    return Trace(trace_id=_random_id(rng, TRACE_BYTES), span_id=_random_id(rng, SPAN_BYTES))


def child(parent: Trace, rng: Rng) -> Trace:
    """The next step of the same trace."""
    return Trace(trace_id=parent.trace_id, span_id=_random_id(rng, SPAN_BYTES), sampled=parent.sampled)


def to_traceparent(trace: Trace) -> str:
    """The ``traceparent`` header of a trace."""
    return f"00-{trace.trace_id.hex()}-{trace.span_id.hex()}-{_SAMPLED if trace.sampled else 0:02x}"


def from_traceparent(text: str) -> Trace:
    """The trace of a ``traceparent`` header.

    Raises:
        TraceError: the text breaks the specification; start a new trace instead.
    """
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None or (match[1] == "00" and match[5]):
        raise TraceError(f"{text!r} is no traceparent; it reads like 00-<32 hex>-<16 hex>-01")
    return Trace(
        trace_id=bytes.fromhex(match[2]),
        span_id=bytes.fromhex(match[3]),
        sampled=bool(int(match[4], 16) & _SAMPLED),
    )
