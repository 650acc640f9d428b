"""Core: every place where a flow may be cut in two, with what crosses there.

Pure: tensors and operators in, cuts out. Refuses nothing; what may not be cut is left out: positions inside a
range that stays whole, and positions behind which nothing depends on what lies before. Tensors that follow from
constants alone never cross: whoever needs them has them. What must stay here: the only rule of legality.
"""

from inference.flow import Cut, Flow


def legal_cuts(flow: Flow, /) -> tuple[Cut, ...]:
    """Every legal cut by rising position; 0 leaves all operators behind it, the last leaves none.

    Graph inputs that are outputs as they come belong to no part and are never ``early``; outputs that the file
    stores as constants come with the last part.
    """
    born = _births(flow)
    last_read = _last_reads(flow)
    last = len(flow.operators)
    cuts = []
    for position in range(last + 1):
        crossing = tuple(
            index
            for index, birth in born.items()
            if birth <= position and last_read.get(index, -1) >= position
        )
        inside = any(start < position < end for start, end in flow.whole)
        if inside or (not crossing and position not in (0, last)):
            continue
        cuts.append(
            Cut(
                position=position,
                crossing=crossing,
                early=_early(flow, born, position),
                payload_bytes=sum(flow.tensors[index].payload_bytes for index in crossing),
            )
        )
    return tuple(cuts)


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


def _early(flow: Flow, born: dict[int, int], position: int) -> tuple[int, ...]:
    found = []
    for index in dict.fromkeys(flow.outputs):
        if flow.tensors[index].constant:
            yielded = position == len(flow.operators)
        else:
            yielded = 0 < born.get(index, 0) <= position
        if yielded:
            found.append(index)
    return tuple(found)
