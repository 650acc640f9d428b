"""Pure core: a worker's clock against ours, so that uplink, work and downlink are told apart (NTP, RFC 5905).

Four timestamps per exchange. The exchange with the shortest round trip of the last minute says the offset, because
it waited least; older ones are trusted less by what clocks drift (RFC 5905: 15 ppm). What no four timestamps can
show is a way up that is always longer than the way down: that part counts half to each. A clock that jumped (a
worker that started anew) is noticed by legs that would be negative, and forgotten. Reads no clock.
"""

from collections import deque
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
WINDOW_NS = 60 * NS_PER_S
DRIFT = 15e-6  # PHI of RFC 5905, on either side
JUMP_NS = 1_000_000  # a leg may look negative by so much, for drift and rounding


@dataclass(slots=True, kw_only=True)
class Legs:
    """The parts of one exchange. They sum to its round trip."""

    uplink_ns: int
    worker_ns: int
    downlink_ns: int


@dataclass(slots=True, kw_only=True)
class _Exchange:
    rank_ns: float  # round trip, less what drift costs the older ones
    offset_ns: int  # worker's clock less ours
    heard_at_ns: int


class ClockOffset:
    """One worker's clock."""

    def __init__(self, *, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._rising: deque[_Exchange] = deque()  # the rank rises, the newest last

    def add(self, sent_ns: int, received_ns: int, replied_ns: int, heard_ns: int, *, now_ns: int) -> None:
        """An exchange: sent and heard by our clock, received and replied by the worker's."""
        raw_up_ns, raw_down_ns = received_ns - sent_ns, heard_ns - replied_ns
        self._forget_jumped(raw_up_ns, raw_down_ns, now_ns=now_ns)
        exchange = _Exchange(
            rank_ns=raw_up_ns + raw_down_ns - 2 * DRIFT * now_ns,
            offset_ns=(raw_up_ns - raw_down_ns) // 2,
            heard_at_ns=now_ns,
        )
        while self._rising and self._rising[-1].rank_ns >= exchange.rank_ns:
            self._rising.pop()
        self._rising.append(exchange)
        while self._rising[0].heard_at_ns < now_ns - self._window_ns:
            self._rising.popleft()

    @property
    def offset_ns(self) -> int | None:
        """The worker's clock less ours; None before the first exchange."""
        return self._rising[0].offset_ns if self._rising else None

    def legs(self, sent_ns: int, received_ns: int, replied_ns: int, heard_ns: int) -> Legs | None:
        """The parts of an exchange, none of them negative; None before the first one was added."""
        offset_ns = self.offset_ns
        if offset_ns is None:
            return None
        worker_ns = max(0, min(replied_ns - received_ns, heard_ns - sent_ns))
        transport_ns = max(0, heard_ns - sent_ns - worker_ns)
        uplink_ns = max(0, min(transport_ns, received_ns - offset_ns - sent_ns))
        return Legs(uplink_ns=uplink_ns, worker_ns=worker_ns, downlink_ns=transport_ns - uplink_ns)

    def reset(self) -> None:
        """Another clock answers from now on."""
        self._rising.clear()

    def _forget_jumped(self, raw_up_ns: int, raw_down_ns: int, *, now_ns: int) -> None:
        if not self._rising:
            return
        best = self._rising[0]
        allowed_ns = JUMP_NS + 2 * DRIFT * (now_ns - best.heard_at_ns)
        if raw_up_ns - best.offset_ns < -allowed_ns or raw_down_ns + best.offset_ns < -allowed_ns:
            self.reset()
