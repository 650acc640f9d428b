"""Shell of ai-edge-quantizer; its only importer.

Calibrates once and then writes any number of mixed-precision variants in a tenth of a second each.
Everything it prints is swallowed: progress bars and size tables are not this program's output.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inference.errors import QuantiseRefusedError
from inference.quantize.float_ends import cones_of
from inference.refusals import Reason
from inference.runtimes.base import Array
from inference.tflite.graph import Graph, parse_graph
from inference.tflite.write import add_signature, fold_float16, name_outputs

try:
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager
except ImportError as error:
    raise QuantiseRefusedError(
        Reason("missing_extra", f"ai-edge-quantizer is not installed ({error})")
    ) from error

_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
_MIN_MAX = "min_max_uniform_quantize"
_KEEP_FLOAT = "no_quantize"
_ONE_THREAD = 1  # more threads add floats in another order: the same crops would give another file


class Int8Writer:
    """Turns one float graph with one input into int8 variants; without calibration inputs, into dynamic ones.

    Raises:
        QuantiseRefusedError: the graph has more than one input, or the quantiser fails.
    """

    def __init__(self, graph: Graph, *, calibration: Sequence[Array]) -> None:
        if len(graph.inputs) != 1:
            detail = f"the model has {len(graph.inputs)} inputs, only one is supported"
            raise QuantiseRefusedError(Reason("cannot_quantise", detail))
        self.graph = add_signature(fold_float16(graph))
        self.count = len(self.graph.operators)
        self.cones = cones_of(self.graph.operators, self.graph.outputs)
        self._output_names = [graph.tensors[index].name for index in graph.outputs]
        self._names = [self.graph.tensors[op.outputs[0]].name for op in self.graph.operators]
        self._static = bool(calibration)
        signature = self.graph.unpack().signatureDefs[0]
        key, feed = (name.decode() for name in (signature.signatureKey, signature.inputs[0].name))
        with _quiet("calibrating"):
            self._ranges = (
                self._quantizer(()).calibrate(
                    {key: [{feed: array} for array in calibration]}, num_threads=_ONE_THREAD
                )
                if self._static
                else None
            )

    def write(self, *, keep_float: Sequence[int]) -> bytes:
        """Write a model in which the named operators (indices into ``graph``) stay float."""
        with _quiet("quantising"):
            return bytes(self._quantizer(keep_float).quantize(self._ranges).quantized_model)

    def finished(self, content: bytes, /) -> bytes:
        """The file to ship: the quantiser renames outputs that it converts; readers know them by the original's names."""
        return name_outputs(parse_graph(content), self._output_names).content

    def close(self) -> None:
        """Forget what was measured; nothing of it lies on the disk."""
        self._ranges = None

    def _quantizer(self, keep_float: Sequence[int]) -> Any:
        recipe = recipe_manager.RecipeManager()
        if self._static:
            recipe.add_static_config(
                regex=".*",
                operation_name=_ALL,
                activation_num_bits=8,
                weight_num_bits=8,
                algorithm_key=_MIN_MAX,
            )
        else:
            recipe.add_dynamic_config(regex=".*", operation_name=_ALL, num_bits=8, algorithm_key=_MIN_MAX)
        if self._static and 0 in keep_float:
            # Else the input is made int8 and back, clipped to the brightest calibration photo.
            recipe.add_quantization_config(
                regex=".*", operation_name=qtyping.TFLOperationName.INPUT, algorithm_key=_KEEP_FLOAT
            )
        for index in keep_float:
            # An operator is found by its first output's name; the quantiser ends each name with a semicolon.
            recipe.add_quantization_config(
                regex=f"^{re.escape(self._names[index])};", operation_name=_ALL, algorithm_key=_KEEP_FLOAT
            )
        # The quantiser reads a file; it keeps no reference to it afterwards.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float.tflite"
            path.write_bytes(self.graph.content)
            return quantizer.Quantizer(path, recipe.get_quantization_recipe())


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        # Its own debugging advice, and casts of ranges that collapse: the gate judges what comes out.
        warnings.simplefilter("ignore")
        try:
            yield
        except (ValueError, RuntimeError, KeyError, IndexError, NotImplementedError) as error:
            raise QuantiseRefusedError(Reason("cannot_quantise", f"{what} failed: {error}")) from error
