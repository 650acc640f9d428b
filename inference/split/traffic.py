"""Pure core: which bytes travel for every pair of cuts of a model.

A part [i, j) is sent the tensors that it reads and that exist before i; tensors that merely pass it by stay
where they are. It sends back what it made and what later parts read, and every model output that it made.
What must stay here: this rule, which the parts themselves follow as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.graph.flow import Flow

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferBytes:
    """Bytes by index of position (not by position), all int64.

    ``up[i, j]`` and ``down[i, j]``: (M, M), into and out of a part from position i to j, i < j.
    ``runs[i, j]``: (M, M) bool, the part is sent something and yields something, so it is a model.
    ``crossing[i]``: (M,), everything that later parts need of earlier ones, inputs included.
    ``returned[i]``: (M,), model outputs made at or behind position i.
    Outputs whose size only a run tells (boxes that a detector found) count nothing: they are small.
    """

    positions: tuple[int, ...]
    up: Integers
    down: Integers
    runs: npt.NDArray[np.bool_]
    crossing: Integers
    returned: Integers


def transfer_bytes(flow: Flow, positions: Sequence[int]) -> TransferBytes:
    """Bytes of every part between two of ``positions``, which ascend from 0 to the number of operators.

    Raises:
        PlacementError: the positions do not start at 0, end behind the last operator and ascend.
    """
    at = np.asarray(positions, dtype=np.int64)
    if len(at) < 2 or at[0] != 0 or at[-1] != len(flow.operators) or np.any(np.diff(at) <= 0):
        raise PlacementError(
            f"positions must ascend from 0 to {len(flow.operators)}, the number of operators: {list(positions)}"
        )
    made, read, outputs = _life(flow)
    count = len(at)
    up = np.zeros((count, count), dtype=np.int64)
    down = np.zeros_like(up)
    sent, made_here = np.zeros((2, count, count), dtype=bool)
    crossing = np.zeros(count, dtype=np.int64)
    returned = np.zeros(count, dtype=np.int64)
    for index, tensor in enumerate(flow.tensors):
        if tensor.constant:
            continue
        size = max(0, tensor.payload_bytes)  # negative where a dimension is free
        # (M,) how many of its readers ran before each position; a part reads it where this number grows
        ran = np.searchsorted(np.asarray(read[index], dtype=np.int64), at)
        born = int(np.searchsorted(at, made[index], side="right"))  # the first position where it exists
        done = max(
            born, int(np.searchsorted(ran, len(read[index])))
        )  # the first where nobody reads it any more
        enters = ran[None, born:] > ran[born:done, None]
        up[born:done, born:] += size * enters
        sent[born:done, born:] |= enters
        crossing[born:done] += size
        kept = count if index in outputs else done
        down[:born, born:kept] += size
        made_here[:born, born:kept] = True
        if index in outputs:
            returned[:born] += size
    return TransferBytes(
        positions=tuple(int(value) for value in at),
        up=up,
        down=down,
        runs=sent & made_here,
        crossing=crossing,
        returned=returned,
    )


def _life(flow: Flow) -> tuple[list[int], list[list[int]], set[int]]:
    """Who makes each tensor (-1: it is an input), who reads it in order, and which ones are outputs."""
    made = [-1] * len(flow.tensors)
    read: list[list[int]] = [[] for _ in flow.tensors]
    for number, operator in enumerate(flow.operators):
        for tensor in operator.outputs:
            made[tensor] = number
        for tensor in set(operator.inputs):
            read[tensor].append(number)
    return made, read, set(flow.outputs)
