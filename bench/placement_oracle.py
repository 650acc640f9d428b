"""An oracle for additive cost: placements as minimum cuts, over every closed set of operators, not only intervals.

Each operator has a cost a tier, each tensor a cost a link, charged once however many read it. Without the
infinite arcs that forbid going back (``one_way=False``) it repeats a known mistake: returns cost nothing.
Costs are whole numbers. Needs SciPy; used by tests and measurements only.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow

from inference.graph.flow import Flow

INFINITE = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditiveCost:
    """Whole nanoseconds: by tier and operator, and by link and tensor. Two tiers have one link, three have two."""

    run: Sequence[Sequence[int]]
    send: Sequence[Sequence[int]]


def least_cost(flow: Flow, cost: AdditiveCost, *, one_way: bool = True) -> int:
    """The smallest total over all assignments of operators to tiers; inputs lie on the first tier.

    One binary a link and operator says whether the operator lies before that link; a cut separates those
    that do (source side) from those that do not.
    """
    arcs: dict[tuple[int, int], int] = defaultdict(int)
    source, sink, count = 0, 1, len(flow.operators)
    links = len(cost.send)

    def before(link: int, operator: int) -> int:
        return source if operator < 0 else 2 + link * count + operator

    made, read = _makers_and_readers(flow)
    for number in range(count):
        ladder = [sink, *(before(link, number) for link in range(links)), source]
        for tier, (low, high) in enumerate(pairwise(ladder)):
            arcs[high, low] += cost.run[tier][number]
            if tier:  # what lies before the first link lies before the second as well
                arcs[low, high] += INFINITE if low != sink and high != source else 0
    node = 2 + links * count
    for tensor, readers in enumerate(read):
        if flow.tensors[tensor].constant or not readers:
            continue
        for link in range(links):
            arcs[before(link, made[tensor]), node] += cost.send[link][tensor]
            for reader in readers:
                arcs[node, before(link, reader)] += INFINITE
                if one_way:
                    arcs[before(link, reader), before(link, made[tensor])] += INFINITE
            node += 1
    return _flow_value(arcs, node, source, sink)


def _makers_and_readers(flow: Flow) -> tuple[list[int], list[list[int]]]:
    made = [-1] * len(flow.tensors)
    read: list[list[int]] = [[] for _ in flow.tensors]
    for number, operator in enumerate(flow.operators):
        for tensor in operator.outputs:
            made[tensor] = number
        for tensor in set(operator.inputs):
            read[tensor].append(number)
    return made, read


def _flow_value(arcs: dict[tuple[int, int], int], nodes: int, source: int, sink: int) -> int:
    kept = {pair: min(value, INFINITE) for pair, value in arcs.items() if value and pair[0] != pair[1]}
    rows, columns = zip(*kept, strict=True)
    matrix = csr_matrix(
        (np.array(list(kept.values()), dtype=np.int32), (rows, columns)), shape=(nodes, nodes)
    )
    return int(maximum_flow(matrix, source, sink).flow_value)
