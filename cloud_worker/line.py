"""Pure core: who waits, in which order, and when each is expected to begin.

A newcomer gets the rearmost place at which it is in time, further ahead where ``passes`` says that it is due more; it
only ever passes those who stay in time behind it, so a place once given is kept. At most one request of a headset
waits: a newer one takes the place of the older. Expectations are the run times that come with the requests; a place
is a plan and no promise, so whoever takes from the line checks again. Reads no clock.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cloud_worker.request import Request


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiting:
    """A request and what its run is expected to take."""

    request: Request
    run_ns: int

    def spare_ns(self, *, begin_ns: int, now_ns: int) -> int:
        """What is left of its budget when it begins ``begin_ns`` from now and runs; 0 or less: it is too late."""
        return self.request.left_at(now_ns) - begin_ns - self.run_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in line, how long from now a run there is expected to begin, and how long the line is."""

    index: int
    begin_ns: int
    line_ns: int


class Line:
    """The requests that wait."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._devices: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting)

    def of(self, device: str) -> Waiting | None:
        """What waits for this headset."""
        return self._devices.get(device)

    def place_for(
        self,
        newcomer: Waiting,
        *,
        free_ns: Sequence[int],
        now_ns: int,
        passes: Callable[[Waiting], bool] = lambda _ahead: False,
    ) -> Place:
        """The best place for a newcomer; whether it is in time there is the caller's to judge.

        ``free_ns``: how long from now each slot is expected to be free.
        """
        begins_ns = self._begins_ns(free_ns)
        index = len(self._waiting)
        while index:
            ahead = self._waiting[index - 1]
            if ahead.spare_ns(begin_ns=begins_ns[index - 1], now_ns=now_ns) <= newcomer.run_ns:
                break
            is_late = newcomer.spare_ns(begin_ns=begins_ns[index], now_ns=now_ns) <= 0
            if not (is_late or passes(ahead)):
                break
            index -= 1
        return Place(index=index, begin_ns=begins_ns[index], line_ns=begins_ns[-1])

    def begin_ns(self, waiting: Waiting, *, free_ns: Sequence[int]) -> int:
        """How long from now one who waits is expected to begin."""
        return self._begins_ns(free_ns)[self._waiting.index(waiting)]

    def insert(self, newcomer: Waiting, *, index: int) -> None:
        """Let a headset that does not wait yet wait at this place."""
        self._waiting.insert(index, newcomer)
        self._devices[newcomer.request.device] = newcomer

    def replace(self, older: Waiting, *, by: Waiting) -> None:
        """Give a place to a newer request of the same headset."""
        self._waiting[self._waiting.index(older)] = by
        self._devices[by.request.device] = by

    def pop(self) -> Waiting:
        """Whose turn it is."""
        waiting = self._waiting.pop(0)
        del self._devices[waiting.request.device]
        return waiting

    def drop(self, is_hopeless: Callable[[Request], bool]) -> tuple[Request, ...]:
        """Take out whoever cannot be begun in time any more, wherever it stands."""
        hopeless = tuple(waiting.request for waiting in self._waiting if is_hopeless(waiting.request))
        if hopeless:
            for request in hopeless:
                del self._devices[request.device]
            self._waiting = [waiting for waiting in self._waiting if waiting.request.device in self._devices]
        return hopeless

    def _begins_ns(self, free_ns: Sequence[int]) -> list[int]:
        """When each in line begins, and at the end one more who came last."""
        slots = list(free_ns)
        heapq.heapify(slots)
        begins_ns = []
        for waiting in self._waiting:
            begins_ns.append(slots[0])
            heapq.heapreplace(slots, slots[0] + waiting.run_ns)
        return [*begins_ns, slots[0]]
