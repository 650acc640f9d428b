"""Pure core: when requests left, and so whether a worker's "busy" speaks of itself or of our own newer request.

A worker keeps one place in line for each headset, and a newer request takes it from an older one, which is then told
``busy`` as well. It waited there until the newer one came; who is turned away because the line is full hears it at
once. Times are passed in.
"""

from bisect import bisect_right
from collections import deque

from edge_node.replies import RemoteReply

NS_PER_US = 1_000
REMEMBERED = 64  # two seconds of frames
WAITED = 0.5  # of the time between two requests: so long the older one waited, however unevenly they arrived


class Departures:
    """The newest requests of one headset that take a place in line."""

    def __init__(self) -> None:
        self._left_ns: deque[int] = deque(maxlen=REMEMBERED)

    def note(self, now_ns: int) -> None:
        """A request leaves."""
        self._left_ns.append(now_ns)

    def was_replaced(self, reply: RemoteReply) -> bool:
        """Whether the request that a worker would not answer gave its place to the next one."""
        if reply.refusal != "busy" or reply.timing is None:
            return False
        later = bisect_right(self._left_ns, reply.sent_ns)
        if later == len(self._left_ns):
            return False
        gap_ns = self._left_ns[later] - reply.sent_ns
        return reply.timing.queue_us * NS_PER_US >= WAITED * gap_ns
