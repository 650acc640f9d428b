"""Shell of onnxruntime's quantiser: int8 versions of .onnx models, as bytes.

Static models carry QuantizeLinear and DequantizeLinear pairs measured on calibration inputs; dynamic ones measure
activations as they run and need none. Refuses a result without int8 in it, calibration that does not fit the
model, and what ``onnx.read`` refuses. Whether a result is good enough is the gate's to say, not this module's.
"""

import inspect
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from inference.errors import GraphError, QuantiseRefusedError
from inference.onnx.read import DAMAGE, OnnxModel, read_onnx, reason_of
from inference.refusals import Reason
from inference.runtimes import usage_reports
from inference.runtimes.base import Array

usage_reports.switch_off()

from onnxruntime import quantization  # noqa: E402  only after its reports are off

# Older releases measure again at every call: slower, the same result.
_KEEPS_RANGES = "calibration_cache_path" in inspect.signature(quantization.quantize_static).parameters
_PER_CHANNEL_FROM_OPSET = 13
# The quantiser advises preparing models with its own tool, through the log's root, unless it finds this mark.
_SILENCE = ("onnx.quant.pre_process", "onnxruntime.quant")
_INT8 = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


class _Samples(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands calibration inputs out one by one, as the quantiser wants them."""

    def __init__(self, samples: Iterable[Mapping[str, Array]]) -> None:
        self._samples: Iterator[Mapping[str, Array]] = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        """Inputs by name, None after the last."""
        sample = next(self._samples, None)
        return None if sample is None else dict(sample)


def quantise_onnx_static(
    content: bytes,
    /,
    *,
    samples: Sequence[Mapping[str, Array]],
    keep_float: Collection[str] = (),
    per_channel: bool = True,
    ranges: Path | None = None,
) -> bytes:
    """Int8 weights and activations; ranges are measured on ``samples`` (input name -> array).

    ``keep_float`` names operators, or tensors they yield, that stay as they are. ``ranges`` is a file that keeps
    what was measured, for further calls with the same model and samples.

    Raises:
        GraphError: the model cannot be read.
        QuantiseRefusedError: calibration does not fit, or nothing became int8.
    """
    model = _prepared(content)
    _check_samples(model, samples)
    excluded = _excluded(model, keep_float)
    kept = {"calibration_cache_path": ranges} if ranges is not None and _KEEPS_RANGES else {}

    def quantise(source: Path, target: Path) -> None:
        quantization.quantize_static(
            source,
            target,
            _Samples(samples),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=per_channel,
            # Of the types of activations this one has fast kernels on every processor; signed ones run at half the
            # speed where there is no int8 dot product.
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=excluded,
            calibration_providers=["CPUExecutionProvider"],
            **kept,
        )

    return _run(model, quantise)


def quantise_onnx_dynamic(content: bytes, /, *, keep_float: Collection[str] = ()) -> bytes:
    """Int8 weights; ranges of activations are measured at every run, so no calibration is needed.

    Meant for models of matrix products; convolutions are left in float, where onnxruntime's would be slower.

    Raises:
        GraphError: the model cannot be read.
        QuantiseRefusedError: nothing became int8.
    """
    model = _prepared(content)
    excluded = _excluded(model, keep_float)

    def quantise(source: Path, target: Path) -> None:
        quantization.quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm", "Attention", "LSTM", "Gather"],
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=excluded,
        )

    return _run(model, quantise)


def _prepared(content: bytes) -> OnnxModel:
    """The model with names for all operators, in an opset that knows scales per channel."""
    model = read_onnx(content)
    opset = max(row.version for row in model.opset_import if row.domain in ("", "ai.onnx"))
    if opset < _PER_CHANNEL_FROM_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _PER_CHANNEL_FROM_OPSET)
        except DAMAGE as error:
            raise GraphError(
                f"the model of opset {opset} cannot be brought to {_PER_CHANNEL_FROM_OPSET}, which int8 needs: "
                f"{reason_of(error)}; export it with a newer opset"
            ) from error
    taken = {node.name for node in model.graph.node}
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in _names(node.op_type, index) if name not in taken)
            taken.add(node.name)
    return model


def _names(kind: str, index: int) -> Iterator[str]:
    name = f"{kind}_{index}"
    while True:
        yield name
        name += "_"


def _excluded(model: OnnxModel, keep_float: Collection[str]) -> list[str]:
    wanted = set(keep_float)
    chosen = [node for node in model.graph.node if wanted & {node.name, *node.output}]
    unknown = sorted(wanted.difference(*({node.name, *node.output} for node in chosen)))
    if unknown:
        raise QuantiseRefusedError(
            Reason("cannot_quantise", f"no operator is called or yields {', '.join(unknown)}")
        )
    return [node.name for node in chosen]


def _check_samples(model: OnnxModel, samples: Sequence[Mapping[str, Array]]) -> None:
    if not samples:
        raise QuantiseRefusedError(Reason("bad_calibration", "no calibration inputs"))
    stored = {tensor.name for tensor in model.graph.initializer}
    names = {row.name for row in model.graph.input} - stored
    for number, sample in enumerate(samples):
        if set(sample) != names:
            detail = f"calibration input {number} holds {sorted(sample)}, the model takes {sorted(names)}"
            raise QuantiseRefusedError(Reason("bad_calibration", detail))
        if any(not np.isfinite(array).all() for array in sample.values() if array.dtype.kind == "f"):
            detail = f"calibration input {number} holds values that are no numbers"
            raise QuantiseRefusedError(Reason("bad_calibration", detail))


def _run(model: OnnxModel, quantise: Callable[[Path, Path], None]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="headway-quantise-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        model.metadata_props.add(key=_SILENCE[0], value=_SILENCE[1])
        source.write_bytes(model.SerializeToString(deterministic=True))
        try:
            quantise(source, target)
            result = onnx.load_model(target)
        except Exception as error:
            detail = f"onnxruntime's quantiser failed: {reason_of(error)}"
            raise QuantiseRefusedError(Reason("cannot_quantise", detail)) from error
    if not any(tensor.data_type in _INT8 and len(tensor.dims) > 1 for tensor in result.graph.initializer):
        detail = "no weight became int8: the model has nothing that this method quantises"
        raise QuantiseRefusedError(Reason("no_int8", detail))
    kept = [row for row in result.metadata_props if row.key != _SILENCE[0]]
    del result.metadata_props[:]
    result.metadata_props.extend(kept)
    written: bytes = result.SerializeToString(deterministic=True)
    return written
