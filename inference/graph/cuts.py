"""Core: every place where a flow may be cut in two, with what crosses there.

Pure: tensors and operators in, cuts out. What may not be cut is left out: positions inside a range that stays
whole, and positions behind which nothing depends on what lies before. Tensors that follow from constants alone
never cross: whoever needs them has them. Refuses flows so tangled that listing what crosses would fill the
memory. What must stay here: the only rule of legality.
"""

from bisect import bisect_left, insort
from collections import defaultdict

from inference.errors import GraphError
from inference.graph.flow import Cut, Flow

# A real model of thousands of operators has a handful of tensors alive at each; only made-up ones come near.
_MAX_LISTED = 10_000_000


def legal_cuts(flow: Flow, /) -> tuple[Cut, ...]:
    """Every legal cut by rising position; 0 leaves all operators behind it, the last leaves none.

    Graph inputs that are outputs as they come belong to no part and are never ``early``; outputs that the file
    stores as constants come with the last part.

    Raises:
        GraphError: more tensors cross all positions together than can be listed.
    """
    born = _births(flow)
    last = len(flow.operators)
    inside = {position for start, end in flow.whole for position in range(start + 1, end)}
    alive = _Alive(flow, born)
    ready = _Ready(flow, born)
    cuts = []
    listed = 0
    for position in range(last + 1):
        crossing, payload_bytes = alive.at(position)
        early = ready.at(position)
        listed += len(crossing) + len(early)
        if listed > _MAX_LISTED:
            msg = (
                f"over {_MAX_LISTED} tensors cross the positions of this model: use one that is less tangled"
            )
            raise GraphError(msg)
        if position in inside or (not crossing and position not in (0, last)):
            continue
        cuts.append(Cut(position=position, crossing=crossing, early=early, payload_bytes=payload_bytes))
    return tuple(cuts)


class _Alive:
    """Sweeps over the positions with the tensors that cross each, by rising index."""

    def __init__(self, flow: Flow, born: dict[int, int]) -> None:
        self._flow = flow
        self._now: list[int] = []
        self._payload_bytes = 0
        self._begin: defaultdict[int, list[int]] = defaultdict(list)
        self._end: defaultdict[int, list[int]] = defaultdict(list)
        last_read = _last_reads(flow)
        for index, birth in born.items():
            if birth <= last_read.get(index, -1):
                self._begin[birth].append(index)
                self._end[last_read[index] + 1].append(index)

    def at(self, position: int) -> tuple[tuple[int, ...], int]:
        """What crosses there and its bytes; positions are asked for one after another from 0."""
        for index in self._end[position]:
            del self._now[bisect_left(self._now, index)]
            self._payload_bytes -= self._flow.tensors[index].payload_bytes
        for index in self._begin[position]:
            insort(self._now, index)
            self._payload_bytes += self._flow.tensors[index].payload_bytes
        return tuple(self._now), self._payload_bytes


class _Ready:
    """Sweeps over the positions with the outputs that exist before each, in the model's order."""

    def __init__(self, flow: Flow, born: dict[int, int]) -> None:
        last = len(flow.operators)
        self._from = {
            index: last if flow.tensors[index].constant else born.get(index, 0)
            for index in dict.fromkeys(flow.outputs)
        }
        self._changes = {*self._from.values(), 0}
        self._now: tuple[int, ...] = ()

    def at(self, position: int) -> tuple[int, ...]:
        """Outputs ready there; positions are asked for one after another from 0."""
        if position in self._changes:
            self._now = tuple(index for index, start in self._from.items() if 0 < start <= position)
        return self._now


def _births(flow: Flow) -> dict[int, int]:
    """First position at which each run-time tensor exists: 0 for graph inputs."""
    born = {index: 0 for index in flow.inputs if not flow.tensors[index].constant}
    for position, operator in enumerate(flow.operators, start=1):
        for index in operator.outputs:
            if not flow.tensors[index].constant:
                born.setdefault(index, position)
    return dict(sorted(born.items()))


def _last_reads(flow: Flow) -> dict[int, int]:
    """Last operator that reads each tensor; those that yield constants only read at every part that needs them."""
    reads: dict[int, int] = {}
    for position, operator in enumerate(flow.operators):
        if all(flow.tensors[index].constant for index in operator.outputs):
            continue
        for index in operator.inputs:
            reads[index] = position
    return reads
