"""Pure core: how long a message was on its way, without a clock shared with its sender.

A budget that travels with a frame does not age in flight, and the two clocks have an unknown offset. So the
smallest (receive time - send time) seen lately from one sender process stands for "no time lost", and what a
message has above it counts as lost. The minimum is windowed, because the offset drifts (50 ppm over the
window of 30 s are 1.5 ms); the window is longer than the stalls that a road survives, because a minimum
forgotten during a stall would make the oldest frame behind it look fresh.

It cannot see a delay that every message of the window had, and a sender's clock that jumps back (a sleep of
the headset) is believed only after one window: until then its frames are refused and answered locally.
Reads no clock; bounded in senders and buckets.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

Sender = tuple[str, bytes]  # device id and boot id: a new process has a new clock


@dataclass(frozen=True, slots=True, kw_only=True)
class AgingLimits:
    """``bucket_ns`` times ``buckets`` is the window; beyond ``senders`` the longest silent one is forgotten."""

    bucket_ns: int = 5_000_000_000
    buckets: int = 6
    senders: int = 4096


class Aging:
    """Windowed minimum of (receive - send) per sender process."""

    def __init__(self, limits: AgingLimits | None = None) -> None:
        self._limits = limits or AgingLimits()
        self._minima: OrderedDict[Sender, deque[tuple[int, int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._minima)

    def lost_ns(self, sender: Sender, *, send_ns: int, received_ns: int) -> int:
        """Note one message and return the nanoseconds it lost on the way, 0 or more."""
        offset_ns = received_ns - send_ns
        minima = self._of(sender)
        bucket = received_ns // self._limits.bucket_ns
        if minima and minima[-1][0] == bucket:
            minima[-1] = (bucket, min(offset_ns, minima[-1][1]))
        else:
            minima.append((bucket, offset_ns))
        while minima[0][0] <= bucket - self._limits.buckets:
            minima.popleft()
        self._forget(bucket)
        return offset_ns - min(least for _, least in minima)

    def _forget(self, bucket: int) -> None:
        """Drop senders of which no minimum is valid any more."""
        while next(iter(self._minima.values()))[-1][0] <= bucket - self._limits.buckets:
            self._minima.popitem(last=False)

    def _of(self, sender: Sender) -> deque[tuple[int, int]]:
        minima = self._minima.get(sender)
        if minima is None:
            minima = self._minima[sender] = deque(maxlen=self._limits.buckets)
            if len(self._minima) > self._limits.senders:
                self._minima.popitem(last=False)
        else:
            self._minima.move_to_end(sender)
        return minima
