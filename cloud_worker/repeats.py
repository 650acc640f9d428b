"""Pure core: tells a request from a second copy of it.

A broker, a bridge or a broken client may deliver one message twice; one request gets one reply, so the second
copy is dropped by whoever asks here. Remembers a bounded number of ids of a bounded number of senders, and nothing of
one that stays silent: a copy that comes after so much is too old to be answered in time anyway. Reads no clock.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from cloud_worker.aging import Sender

Key = tuple[int, int]  # task and frame id


@dataclass(slots=True, kw_only=True)
class _Seen:
    """The newest ids of one sender, and when it was last heard."""

    ids: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    heard_ns: int = 0


class Repeats:
    """The newest request ids of each sender process."""

    def __init__(
        self, *, senders: int = 4096, ids_per_sender: int = 256, forget_ns: int = 60_000_000_000
    ) -> None:
        self._senders = senders
        self._ids_per_sender = ids_per_sender
        self._forget_ns = forget_ns
        self._seen: OrderedDict[Sender, _Seen] = OrderedDict()  # longest silent first

    def __len__(self) -> int:
        return sum(len(seen.ids) for seen in self._seen.values())

    def is_repeat(self, sender: Sender, key: Key, *, now_ns: int) -> bool:
        """Whether ``key`` came from ``sender`` before; notes it where it did not."""
        seen = self._seen.get(sender)
        if seen is None:
            seen = self._seen[sender] = _Seen()
        else:
            self._seen.move_to_end(sender)
        seen.heard_ns = now_ns
        self._forget(now_ns)
        if key in seen.ids:
            return True
        seen.ids[key] = None
        if len(seen.ids) > self._ids_per_sender:
            seen.ids.popitem(last=False)
        return False

    def _forget(self, now_ns: int) -> None:
        while len(self._seen) > self._senders or self._oldest_ns() < now_ns - self._forget_ns:
            self._seen.popitem(last=False)

    def _oldest_ns(self) -> int:
        return next(iter(self._seen.values())).heard_ns
