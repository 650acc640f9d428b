"""Core: what the part of a flow between two legal cuts reads, runs and yields.

Pure. Refuses positions that are no legal cuts and parts that yield nothing. What must stay here: the only rule
of what crosses into and out of a part. Tensors that pass a part by, from the head to the tail, are not its
business: whoever runs the tail has them or is sent them with the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import GraphError
from inference.graph.flow import Cut, Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The operators between two cuts; all fields index the flow.

    ``operators`` run in order and include those of constants that the part needs, wherever they stand.
    """

    operators: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def segment_of(flow: Flow, cuts: Sequence[Cut], start: int, end: int, /) -> Segment:
    """The part that runs ``operators[start:end]``.

    Inputs: the model's own first, in its order, then by index. Outputs: what later parts need by index, then the
    model's outputs in its order.

    Raises:
        GraphError: not two rising legal cuts, or nothing between them is needed.
    """
    by_position = {cut.position: cut for cut in cuts}
    _check_positions(by_position, start, end)
    makers = {index: place for place, operator in enumerate(flow.operators) for index in operator.outputs}
    own = [
        place
        for place in range(start, end)
        if any(not flow.tensors[index].constant for index in flow.operators[place].outputs)
    ]
    made = {index for place in own for index in flow.operators[place].outputs}
    read = {index for place in own for index in flow.operators[place].inputs} - made
    last = len(flow.operators)
    early = [
        index
        for index in by_position[end].early
        if index in made or (flow.tensors[index].constant and end == last)
    ]
    outputs = tuple(dict.fromkeys([i for i in by_position[end].crossing if i in made] + early))
    if not own or not outputs:
        msg = f"nothing between positions {start} and {end} is needed by the rest: choose a longer part"
        raise GraphError(msg)
    needed = {index for index in {*read, *outputs} if flow.tensors[index].constant}
    crossing = {index for index in read if not flow.tensors[index].constant}
    first = [index for index in dict.fromkeys(flow.inputs) if index in crossing]
    return Segment(
        operators=tuple(sorted({*own, *_constant_operators(flow, makers, needed)})),
        inputs=(*first, *sorted(crossing - set(first))),
        outputs=outputs,
    )


def _check_positions(by_position: dict[int, Cut], start: int, end: int) -> None:
    if start >= end:
        msg = f"a part from {start} to {end} holds no operator: choose an end behind its start"
        raise GraphError(msg)
    for position in (start, end):
        if position not in by_position:
            near = min(by_position, key=lambda legal: (abs(legal - position), legal))
            msg = f"position {position} is no legal cut: choose another, the nearest is {near}"
            raise GraphError(msg)


def _constant_operators(flow: Flow, makers: dict[int, int], needed: set[int]) -> set[int]:
    """Operators that yield constants which are not stored, with all that they build on."""
    found: set[int] = set()
    waiting = list(needed)
    while waiting:
        place = makers.get(waiting.pop())
        if place is not None and place not in found:
            found.add(place)
            waiting.extend(flow.operators[place].inputs)
    return found
