"""Pure core: tells a request from a second copy of it.

A broker, a bridge or a broken client may deliver one message twice; one request gets one reply, so the second
copy is dropped by whoever asks here. Remembers a bounded number of ids of a bounded number of senders: a copy
that comes after so many newer ones is too old to be answered in time anyway.
"""

from collections import OrderedDict

from cloud_worker.aging import Sender

Key = tuple[int, int]  # task and frame id


class Repeats:
    """The newest request ids of each sender process."""

    def __init__(self, *, senders: int = 4096, ids_per_sender: int = 256) -> None:
        self._senders = senders
        self._ids_per_sender = ids_per_sender
        self._seen: OrderedDict[Sender, OrderedDict[Key, None]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._seen.values())

    def is_repeat(self, sender: Sender, key: Key) -> bool:
        """Whether ``key`` came from ``sender`` before; notes it where it did not."""
        ids = self._seen.get(sender)
        if ids is None:
            ids = self._seen[sender] = OrderedDict()
            if len(self._seen) > self._senders:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(sender)
        if key in ids:
            return True
        ids[key] = None
        if len(ids) > self._ids_per_sender:
            ids.popitem(last=False)
        return False
