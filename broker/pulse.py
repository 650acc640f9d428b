"""Is the road alive? Judged by our own echo and by silence.

Pure core: the session sends the echoes and passes the time in. An echo is
overdue from the moment it was due, even if the socket would not take it: a
blocked way out is as bad as a lost answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

_WINDOW = 128


class Verdict(str, Enum):
    """What the pulse says about the road."""

    WAITING = "waiting"  # connected, but no own echo came back yet
    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseLimits:
    """Thresholds; each is max(floor, factor x p99 of the echo), never above its cap."""

    suspect_floor_ns: int
    suspect_cap_ns: int
    dead_floor_ns: int
    dead_cap_ns: int
    echo_active_ns: int  # between echoes while something is being sent
    echo_idle_ns: int  # between echoes otherwise
    suspect_factor: int = 4
    dead_factor: int = 10


class Pulse:
    """The health of one connection; start a connection with `connected`."""

    def __init__(self, limits: PulseLimits) -> None:
        self._limits = limits
        self._rtts: deque[int] = deque(maxlen=_WINDOW)
        self._last_rtt_ns: int | None = None
        self._p99_ns: int | None = None
        self._seq = 0
        self._outstanding: dict[int, int] = {}
        self._heard_ns = 0
        self._echoed_ns = 0
        self._confirmed = False
        self._started = False

    @property
    def last_rtt_ns(self) -> int | None:
        """The newest echo's round trip."""
        return self._last_rtt_ns

    @property
    def p99_ns(self) -> int | None:
        """p99 over the last 128 echoes."""
        return self._p99_ns

    @property
    def suspect_after_ns(self) -> int:
        """An echo older than this makes the road suspect."""
        limits = self._limits
        measured = limits.suspect_factor * (self._p99_ns or 0)
        return min(limits.suspect_cap_ns, max(limits.suspect_floor_ns, measured))

    @property
    def dead_after_ns(self) -> int:
        """Silence longer than this makes the road dead."""
        limits = self._limits
        measured = limits.dead_factor * (self._p99_ns or 0)
        return min(limits.dead_cap_ns, max(limits.dead_floor_ns, measured))

    def connected(self, *, now_ns: int) -> None:
        """Begin a new connection; what was learned about round trips stays."""
        self._outstanding.clear()
        self._heard_ns = now_ns
        self._echoed_ns = 0
        self._confirmed = False
        self._started = False

    def begin(self) -> None:
        """Echoes may be sent from now on (the own echo topic is subscribed)."""
        self._started = True

    def heard(self, *, now_ns: int) -> None:
        """Bytes arrived."""
        self._heard_ns = now_ns

    def echo_due(self, *, now_ns: int, active: bool) -> bool:
        """Whether to send an echo now."""
        if not self._started:
            return False
        every_ns = self._limits.echo_active_ns if active else self._limits.echo_idle_ns
        if self._outstanding:
            every_ns = max(every_ns, self.suspect_after_ns)
        return now_ns - self._echoed_ns >= every_ns

    def echo_sent(self, *, now_ns: int) -> int:
        """Note an echo and return its number."""
        self._seq += 1
        self._echoed_ns = now_ns
        self._outstanding[self._seq] = now_ns
        return self._seq

    def echo_returned(self, seq: int, *, now_ns: int) -> None:
        """Note an echo that came back; those sent before it are settled too."""
        sent_ns = self._outstanding.get(seq)
        if sent_ns is None:
            return
        for number in [n for n in self._outstanding if n <= seq]:
            del self._outstanding[number]
        self._confirmed = True
        self._last_rtt_ns = now_ns - sent_ns
        self._rtts.append(self._last_rtt_ns)
        # floor, so that one outlier in a window does not set the threshold alone
        self._p99_ns = sorted(self._rtts)[int(0.99 * (len(self._rtts) - 1))]

    def verdict(self, *, now_ns: int) -> Verdict:
        """Judge the road as of now."""
        if now_ns - self._heard_ns > self.dead_after_ns:
            return Verdict.DEAD
        if not self._confirmed:
            return Verdict.WAITING
        oldest_ns = min(self._outstanding.values(), default=now_ns)
        return Verdict.SUSPECT if now_ns - oldest_ns > self.suspect_after_ns else Verdict.ALIVE

    def next_check_ns(self, *, now_ns: int, active: bool) -> int:
        """Nanoseconds until `verdict` or `echo_due` can change by time alone."""
        limits = self._limits
        every_ns = limits.echo_active_ns if active else limits.echo_idle_ns
        moments = [self._heard_ns + self.dead_after_ns, self._echoed_ns + every_ns]
        if self._outstanding:
            moments = [
                self._heard_ns + self.dead_after_ns,
                min(self._outstanding.values()) + self.suspect_after_ns,
                self._echoed_ns + max(every_ns, self.suspect_after_ns),
            ]
        later = [moment - now_ns for moment in moments if moment > now_ns]
        return min(later, default=limits.echo_active_ns)


class EchoMark:
    """How an echo looks on the wire; two sessions may share one echo topic."""

    def __init__(self, nonce: str) -> None:
        self._prefix = f'{{"echo":"{nonce}","n":'.encode()

    def write(self, seq: int) -> bytes:
        """Return the JSON document of one echo."""
        return self._prefix + b"%d}" % seq

    def read(self, payload: bytes) -> int | None:
        """Return the number of an echo of ours, None for any other."""
        number = payload[len(self._prefix) : -1]
        if not payload.startswith(self._prefix) or not number.isdigit() or payload[-1:] != b"}":
            return None
        return int(number)
