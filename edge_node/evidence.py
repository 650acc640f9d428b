"""Pure core: frames that have their answer and wait only for a worker's word, because it says what the link did.

There may be many of them while replies are lost, so none is looked at before its time has come. What a missing reply
means is decided elsewhere. Times are passed in.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from edge_node.flight import Flight


class Evidence:
    """The answered frames of one headset that somebody else still works on.

    ``due_ns`` says of a frame when it must be looked at again; ``look`` does so then, or lets it go by returning False.
    """

    def __init__(self, *, due_ns: Callable[[Flight], int], look: Callable[[Flight, int], bool]) -> None:
        self._due_of = due_ns
        self._look = look
        self._flights: dict[int, Flight] = {}
        self._dues: list[tuple[int, int]] = []  # (when, frame id); of frames let go earlier too

    def __len__(self) -> int:
        return len(self._flights)

    def await_reply(self, flight: Flight) -> None:
        """Keep an answered frame until its reply comes or its time is over."""
        self._flights[flight.frame_id] = flight
        heappush(self._dues, (self._due_of(flight), flight.frame_id))

    def get(self, frame_id: int) -> Flight | None:
        """A frame that is kept here."""
        return self._flights.get(frame_id)

    def pop(self, frame_id: int) -> None:
        """Its reply came."""
        del self._flights[frame_id]

    def all(self) -> list[Flight]:
        """Every frame that is kept here, those that have waited longest first."""
        return list(self._flights.values())

    @property
    def due_ns(self) -> int | None:
        """When ``tick`` has something to do; None while nothing is kept."""
        while self._dues and self._dues[0][1] not in self._flights:
            heappop(self._dues)
        return self._dues[0][0] if self._dues else None

    def tick(self, now_ns: int) -> None:
        """Look at every frame whose time has come."""
        while self._dues and self._dues[0][0] <= now_ns:
            _, frame_id = heappop(self._dues)
            flight = self._flights.get(frame_id)
            if flight is None:
                continue
            if self._look(flight, now_ns):
                heappush(self._dues, (max(now_ns + 1, self._due_of(flight)), frame_id))
            else:
                del self._flights[frame_id]
