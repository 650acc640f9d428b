"""Core: refuse .onnx models that join constants to far more values than they store.

Shape inference works such constants out, in code of a library that knows no limit: a chain of thirty operators, each
joining its input to itself, fills any memory. What must stay here: the estimate of how many values it would hold.
"""

from typing import Any

import numpy as np

from inference.errors import GraphError

_ALWAYS_ALLOWED = 1 << 16
_MAX_SHARING = 16  # a stored constant may be joined to others in several places
_RANK = 64  # no tensor has more dimensions, so no shape that is read off one has more values


def check_growth(model: Any, /) -> None:
    """Estimate the values of everything that follows from constants and shapes alone; operators are in order.

    Raises:
        GraphError: more than the file stores; names the operator.
    """
    counts = {tensor.name: _values(tensor.dims) for tensor in model.graph.initializer}
    limit = max(_ALWAYS_ALLOWED, _MAX_SHARING * sum(counts.values()))
    for node in model.graph.node:
        if node.op_type in ("Constant", "Shape", "Size"):
            held = sum(_values(row.t.dims) for row in node.attribute if row.HasField("t"))
            held += sum(len(row.ints) + len(row.floats) for row in node.attribute)
            count = max(held, _RANK)
            limit += _MAX_SHARING * held
        else:
            names = [name for name in node.input if name]
            if not names or not all(name in counts for name in names):
                continue
            given = [counts[name] for name in names]
            count = sum(given) if node.op_type == "Concat" else max(given)
        if count > limit:
            raise GraphError(
                f"{node.op_type} {node.name or next(iter(node.output), '')!r} joins constants to {count:.0f} values, "
                f"far more than the file stores: export the model again"
            )
        counts |= dict.fromkeys(filter(None, node.output), count)


def _values(dims: Any) -> float:
    return float(np.prod([max(size, 0) for size in dims], dtype=float))
