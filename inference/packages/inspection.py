"""Core: what a model file holds, and operator by operator what a cut behind each would send.

Positions, bytes and the reasons why a place is no cut come from the same flow that parts are cut from, so
constants are folded in the table and the counts of stored operators are another thing. A file that cannot be cut
is still described as far as its format's reader goes, with the reason.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.graph.flow import Flow, FlowTensor
from inference.packages.making import quantisation_of
from inference.split.model import SplitModel
from inference.tflite.graph import Tensor, parse_graph
from inference.tflite.write import operator_counts

_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One position of the flow: the operator before it (None at the start), and the cut there.

    ``cut_bytes`` is None where there is no cut, and ``no_cut`` says why; ``elapsed_ns`` is the time of everything
    before, where a profile tells it.
    """

    position: int
    kind: str
    outputs: tuple[FlowTensor, ...]
    cut_bytes: int | None
    crossing: tuple[str, ...] = ()
    no_cut: str = ""
    elapsed_ns: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON; ``operator`` counts from 0 and is null at the start of the model."""
        return {
            "position": self.position,
            "operator": self.position - 1 if self.position else None,
            "kind": self.kind,
            "outputs": [tensor_view(tensor) for tensor in self.outputs],
            "cut_bytes": self.cut_bytes,
            "crossing": list(self.crossing),
            "no_cut": self.no_cut or None,
            "elapsed_ms": None if self.elapsed_ns is None else round(self.elapsed_ns / 1e6, 4),
        }


def tensor_view(tensor: FlowTensor, /) -> dict[str, Any]:
    """A tensor for JSON."""
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "bytes": tensor.payload_bytes,
    }


def tensor_words(name: str, dtype: str, shape: Sequence[int], /) -> str:
    """A tensor for people, on one line whatever the file calls it."""
    return f"{name if name.isprintable() else ascii(name)} {dtype}{list(shape)}"


def short_words(name: str, dtype: str, shape: Sequence[int], /) -> str:
    """The same, shortened. Names of some converters are whole paths; their ends tell them apart."""
    kept = name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"
    return tensor_words(kept, dtype, shape)


def position_rows(split: SplitModel, /, *, elapsed_ns: Mapping[int, float]) -> tuple[PositionRow, ...]:
    """A row for every position from 0 to the number of operators; ``elapsed_ns`` by position."""
    flow = split.flow
    cuts = {cut.position: cut for cut in split.cuts}
    rows = []
    for position in range(len(flow.operators) + 1):
        before = flow.operators[position - 1] if position else None
        cut = cuts.get(position)
        shown = flow.inputs if before is None else before.outputs
        rows.append(
            PositionRow(
                position=position,
                kind="" if before is None else before.kind,
                outputs=tuple(flow.tensors[index] for index in shown),
                cut_bytes=None if cut is None else cut.payload_bytes,
                crossing=() if cut is None else tuple(flow.tensors[index].name for index in cut.crossing),
                no_cut="" if cut else _reason(flow, position),
                elapsed_ns=elapsed_ns.get(position),
            )
        )
    return tuple(rows)


def _reason(flow: Flow, position: int) -> str:
    for start, end in flow.whole:
        if start < position < end:
            return f"operators {start} to {end - 1} stay whole"
    return "nothing behind needs what lies before"


def file_facts(path: Path, content: bytes, split: SplitModel | None, /) -> dict[str, Any]:
    """What is known of the file without cutting it; counts of a .tflite file are of operators as stored.

    Raises:
        GraphError: a .tflite file that is not one plain graph.
    """
    facts: dict[str, Any] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if split is not None and split.flow.file_format == "onnx":
        flow = split.flow
        return facts | {
            "format": "onnx",
            "inputs": _words(flow.tensors, flow.inputs),
            "outputs": _words(flow.tensors, flow.outputs),
            "operators": dict(Counter(operator.kind for operator in flow.operators).most_common()),
            "tensors": len(flow.tensors),
        }
    graph = parse_graph(content)
    return facts | {
        "format": "tflite",
        "quantisation": quantisation_of(path),
        "signature": graph.signature,
        "inputs": _words(graph.tensors, graph.inputs),
        "outputs": _words(graph.tensors, graph.outputs),
        "operators": operator_counts(graph),
        "tensors": len(graph.tensors),
    }


def _words(tensors: Sequence[Tensor | FlowTensor], indices: Sequence[int]) -> list[str]:
    chosen = [tensors[index] for index in indices]
    return [tensor_words(tensor.name, tensor.dtype, tensor.shape) for tensor in chosen]
