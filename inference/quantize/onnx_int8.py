"""Shell around onnxruntime's quantiser for the search: writes any number of variants of one .onnx model.

Ranges are measured once and kept in a file as long as the writer lives.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from inference.errors import QuantiseRefusedError
from inference.onnx.flow import onnx_flow
from inference.quantize.float_ends import cones_of
from inference.quantize.onnx_quantizer import quantise_onnx_dynamic, quantise_onnx_static
from inference.runtimes.base import Array


class OnnxInt8Writer:
    """Turns one float model with one input into int8 variants; without calibration inputs, into dynamic ones.

    Raises:
        GraphError: the model cannot be read as one plain graph.
    """

    def __init__(self, content: bytes, *, calibration: Sequence[Array]) -> None:
        flow = onnx_flow(content)
        feed = flow.tensors[flow.inputs[0]].name
        self._content = content
        self._names = [flow.tensors[op.outputs[0]].name for op in flow.operators]
        self._samples = [{feed: array} for array in calibration]
        self._folder = tempfile.TemporaryDirectory(prefix="headway-ranges-")
        self.count = len(flow.operators)
        self.cones = cones_of(flow.operators, flow.outputs)

    def write(self, *, keep_float: Sequence[int]) -> bytes:
        """Write a model in which the named operators stay float."""
        kept = [self._names[index] for index in keep_float]
        try:
            if not self._samples:
                return quantise_onnx_dynamic(self._content, keep_float=kept)
            return quantise_onnx_static(
                self._content,
                samples=self._samples,
                keep_float=kept,
                ranges=Path(self._folder.name) / "ranges.json",
            )
        except QuantiseRefusedError as error:
            if any(reason.word != "no_int8" for reason in error.reasons):
                raise
            return (
                self._content
            )  # everything with weights stays float: a variant too, and the gate's to refuse

    def finished(self, content: bytes, /) -> bytes:
        """The file to ship: this quantiser leaves the names of outputs as they are."""
        return content

    def close(self) -> None:
        """Forget the ranges."""
        self._folder.cleanup()
