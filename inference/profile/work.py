"""Pure core: how much work lies before each position of a flow, the abscissa of interpolated durations.

Three counts that need no measurement: multiplications, bytes read and written, operators. What one of each
costs on a piece of hardware is fitted to what was measured there; the fit says only how a duration grows
between two measured cuts, never what it is at them.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from inference.graph.flow import Flow, FlowOperator

Floats = npt.NDArray[np.float64]

# Axis of the weights that counts output channels; weights hold the multiplications of one output value each.
_CHANNEL_AXIS = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": -1,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
    "Conv": 0,
    "MatMul": -1,
    "Gemm": -1,
}


def cumulative_work(flow: Flow, positions: Sequence[int], /) -> Floats:
    """(P, 3) float64: multiplications, bytes and operators in ``operators[:position]`` of each position."""
    rows = np.zeros((len(flow.operators) + 1, 3))
    for place, operator in enumerate(flow.operators, start=1):
        if all(flow.tensors[index].constant for index in operator.outputs):
            continue  # stored in the part's file, or computed once
        moved = sum(flow.tensors[index].payload_bytes for index in (*operator.inputs, *operator.outputs))
        rows[place] = (_multiplications(flow, operator), moved, 1)
    return np.asarray(rows.cumsum(axis=0)[list(positions)])


def fitted_abscissa(work: Floats, measured: Sequence[int], values: Sequence[float], /) -> Floats:
    """(P,) rising: the work counts weighed as they explain ``values`` at the indices ``measured`` best.

    Weights are never negative, so that more work never takes less time.
    """
    scale = np.maximum(work[-1], 1.0)
    columns = work / scale
    steps, gains = np.diff(columns[list(measured)], axis=0), np.diff(np.asarray(values, dtype=np.float64))
    best, least = np.ones(3), np.inf
    for count in (3, 2, 1):
        for chosen in combinations(range(3), count):
            weights = np.zeros(3)
            weights[list(chosen)] = np.linalg.lstsq(steps[:, chosen], gains, rcond=None)[0]
            miss = float(np.sum((steps @ weights - gains) ** 2))
            if (weights >= 0).all() and weights.any() and miss < least:
                best, least = weights, miss
    # A thread of equal steps keeps the abscissa rising where an operator counts nothing.
    line = np.arange(len(work)) / max(len(work) - 1, 1)
    return np.asarray(columns @ (best / best.sum()) + 1e-9 * line)


def _multiplications(flow: Flow, operator: FlowOperator) -> float:
    axis = _CHANNEL_AXIS.get(operator.kind)
    shapes = [flow.tensors[index].shape for index in operator.inputs if flow.tensors[index].constant]
    weights = max((shape for shape in shapes if len(shape) >= 2), key=np.prod, default=None)
    if axis is None or weights is None or not all(weights):
        return 0.0
    made = flow.tensors[operator.outputs[0]].shape
    if operator.kind == "TRANSPOSE_CONV":  # every input value meets all weights of its channel
        read = max((flow.tensors[i].shape for i in operator.inputs if not flow.tensors[i].constant), key=len)
        return float(np.prod(read)) * float(np.prod(weights)) / weights[-1]
    return float(np.prod(made)) * float(np.prod(weights)) / weights[axis]
