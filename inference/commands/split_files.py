"""Shell: write the parts of a model that is cut at one place or two, and say what travels between them.

The headset runs the head, the worker the middle (or all behind a single cut), the headset the tail. Refuses
places that are no legal cuts, and a single cut that leaves one side nothing to do.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import GraphError
from inference.graph.flow import FlowTensor
from inference.packages.inspection import tensor_view
from inference.parity.check import Pair
from inference.split.model import SplitModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """One part: what it is called, where it runs, which operators."""

    role: str
    runs_on: str
    start: int
    end: int


def worker_pair(split: SplitModel, positions: tuple[int, ...], /) -> Pair:
    """The worker's part for one cut (all behind it) or two.

    Raises:
        GraphError: a single cut at an end of the model, so that there are no two parts.
    """
    last = len(split.flow.operators)
    if len(positions) == 2:
        return positions[0], positions[1]
    if not 0 < positions[0] < last:
        msg = f"a cut at {positions[0]} leaves one part empty: choose one between 1 and {last - 1}"
        raise GraphError(msg)
    return positions[0], last


def planned(split: SplitModel, pair: Pair, /) -> tuple[PartPlan, ...]:
    """The parts in run order, without empty ones."""
    start, end = pair
    last = len(split.flow.operators)
    middle = "middle" if end < last else "tail"
    borders = (("head", "headset", 0, start), (middle, "worker", start, end), ("tail", "headset", end, last))
    return tuple(
        PartPlan(role=role, runs_on=place, start=low, end=high)
        for role, place, low, high in borders
        if low < high
    )


def write_parts(split: SplitModel, pair: Pair, /, *, folder: Path, stem: str) -> list[dict[str, Any]]:
    """Write each part to ``STEM.ROLE.SUFFIX``; all are made before the first is written.

    Raises:
        GraphError: there is no such part.
        OSError: the folder cannot be written.
    """
    plans = planned(split, pair)
    contents = [split.part(plan.start, plan.end) for plan in plans]
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for plan, content in zip(plans, contents, strict=True):
        path = folder / f"{stem}.{plan.role}.{split.flow.file_format}"
        waiting = path.with_name(f".{path.name}.{os.getpid()}")
        waiting.write_bytes(content)
        waiting.replace(path)
        rows.append(
            {
                "role": plan.role,
                "runs_on": plan.runs_on,
                "start": plan.start,
                "end": plan.end,
                "file": str(path),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "inputs": _views(split, split.part_inputs(plan.start, plan.end)),
                "outputs": _views(split, split.part_outputs(plan.start, plan.end)),
            }
        )
    return rows


def travels(split: SplitModel, pair: Pair, /) -> dict[str, dict[str, Any]]:
    """Tensors and bytes to the worker and back, as they are, before any packing.

    Raises:
        GraphError: there is no such part.
    """
    both = {"up": split.part_inputs(*pair), "down": split.part_outputs(*pair)}
    return {
        way: {
            "bytes": sum(tensor.payload_bytes for tensor in _named(split, names)),
            "tensors": _views(split, names),
        }
        for way, names in both.items()
    }


def _named(split: SplitModel, names: tuple[str, ...]) -> list[FlowTensor]:
    by_name = {tensor.name: tensor for tensor in split.flow.tensors}
    return [by_name[name] for name in names]


def _views(split: SplitModel, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [tensor_view(tensor) for tensor in _named(split, names)]
