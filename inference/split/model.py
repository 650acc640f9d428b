"""Core: cut a model of either format into parts, chosen by the file's first bytes.

Refuses files of neither format, and whatever the format's own module refuses. What must stay here: the one
interface that everything behind a split uses.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from inference.errors import GraphError
from inference.graph.flow import Cut, Flow
from inference.tflite.split import TfliteSplit


class SplitModel(Protocol):
    """A model that can be cut; parts run ``operators[start:end]`` of its flow."""

    @property
    def flow(self) -> Flow:
        """Its tensors and operators, constants folded or marked."""
        ...

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Every legal cut by rising position."""
        ...

    def part(self, start: int, end: int, /) -> bytes:
        """Give the part as a model file of its own; raises GraphError where there is none."""
        ...

    def part_inputs(self, start: int, end: int, /) -> tuple[str, ...]:
        """Names of the part's inputs in run order."""
        ...

    def part_outputs(self, start: int, end: int, /) -> tuple[str, ...]:
        """Names of the part's outputs in run order."""
        ...


def split_model(content: bytes, /, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> SplitModel:
    """Prepare a model for being cut. ``shapes`` fix free sizes of an .onnx model's inputs by name.

    Raises:
        GraphError: neither format, damaged, or a model that cannot be cut; says which operator and why.
    """
    if content[4:8] == b"TFL3":
        if shapes:
            msg = "a .tflite model has fixed shapes: leave the shapes out"
            raise GraphError(msg)
        return TfliteSplit(content)
    if not content or content[0] != _ONNX_FIRST_BYTE:
        msg = f"neither a .tflite nor an .onnx model (first bytes {content[:8]!r}): pass another file"
        raise GraphError(msg)
    # The reader of .onnx files is an extra that headsets do not have.
    try:
        module = import_module("inference.onnx.split")
    except ImportError as error:
        msg = f"cannot read .onnx files here ({error}): install headway[worker]"
        raise GraphError(msg) from error
    split: SplitModel = module.split_onnx(content, shapes=shapes or {})
    return split


_ONNX_FIRST_BYTE = 0x08  # field 1 of the protobuf message, ir_version as a varint
