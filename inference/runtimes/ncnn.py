"""Shell of ncnn; its only importer. Opens a .param file with the .bin of the same name beside it.

There is no converter here: pnnx makes the two files (``pnnx model.onnx "inputshape=[1,3,224,224]"``), and its
wheel asks for PyTorch, which this project does not install; ``pip install --no-deps pnnx`` is enough for it.
ncnn has no batch axis: one that the options declare is taken off on the way in and put back on the way out.
Models compute in float32. A damaged .param can still abort ncnn: try strangers' files with ``inference.child``.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from inference.errors import ModelLoadError, ModelRunError
from inference.runtimes.base import Array, Model, TensorSpec
from inference.runtimes.checked_model import CheckedModel, EngineFailure
from inference.runtimes.checked_runtime import CheckedRuntime, readable_file
from inference.runtimes.ncnn_param import input_shapes
from inference.runtimes.options import RuntimeOptions

_DTYPE = "float32"
_MAX_RANK = 4
_PRECISIONS = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")


class NcnnRuntime(CheckedRuntime):
    """Opens .param and .bin files with ncnn on the CPU."""

    name = "ncnn"
    failure = EngineFailure(engine=name)  # it raises nothing: its codes are looked at here

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(ncnn.__version__)
        self._options = options or RuntimeOptions()

    def _opened(self, path: Path, /, *, threads: int) -> Model:
        weights = path.with_suffix(".bin")
        try:
            with readable_file(path, advice=f"ncnn needs {path} and {weights}"):
                text = path.read_text(encoding="utf-8")
                weights.stat()
        except UnicodeDecodeError as error:
            msg = f"{path} is not a .param file of ncnn: convert the model with pnnx and pass its .ncnn.param"
            raise ModelLoadError(msg) from error
        inputs, batched = _declared(path, text, self._options.inputs)
        net = _open(path, weights, threads=threads)
        try:
            return self._shaped(net, inputs=inputs, batched=batched)
        except ModelRunError as error:
            msg = f"ncnn cannot run {path}: {error}"
            raise ModelLoadError(msg) from error

    def _shaped(self, net: Any, /, *, inputs: tuple[TensorSpec, ...], batched: bool) -> Model:
        """Run it once on zeros, because only that tells the shapes of its outputs."""
        declared = self._options.outputs
        names = tuple(spec.name for spec in declared) or tuple(net.output_names())

        def extracted(arrays: Sequence[Array], /) -> list[Array]:
            rows = zip(inputs, arrays, strict=True)
            return _extracted(net, {spec.name: array[0] if batched else array for spec, array in rows}, names)

        blank = extracted([np.zeros(spec.shape, np.float32) for spec in inputs])
        found = tuple(
            TensorSpec(name=name, shape=(1, *array.shape) if batched else array.shape, dtype=array.dtype.name)
            for name, array in zip(names, blank, strict=True)
        )
        outputs = tuple(_agreed(*pair) for pair in zip(declared or found, found, strict=True))

        def compute(arrays: Sequence[Array], /) -> tuple[Array, ...]:
            results = zip(extracted(arrays), outputs, strict=True)
            return tuple(array.reshape(spec.shape) for array, spec in results)

        return CheckedModel(compute, inputs=inputs, outputs=outputs, failure=self.failure)


def _extracted(net: Any, given: dict[str, Array], names: tuple[str, ...], /) -> list[Array]:
    extractor = net.create_extractor()
    for name, array in given.items():
        plain = np.ascontiguousarray(array)  # by name, because a Mat does not keep alive what it looks at
        if extractor.input(name, ncnn.Mat(plain).clone()):
            msg = f"ncnn does not take input {name!r}: declare the names that its .param file has"
            raise ModelRunError(msg)
    results = []
    for name in names:
        code, mat = extractor.extract(name)
        if code:
            msg = f"ncnn failed at output {name!r} (code {code}): check the declared names and shapes"
            raise ModelRunError(msg)
        results.append(np.array(mat))
    return results


def _open(path: Path, weights: Path, /, *, threads: int) -> Any:
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for precision in _PRECISIONS:
        setattr(net.opt, f"use_{precision}", False)
    if net.load_param(str(path)):
        msg = f"ncnn refuses {path}: it is damaged or has layers this ncnn lacks; convert it again with pnnx"
        raise ModelLoadError(msg)
    if net.load_model(str(weights)):
        msg = f"ncnn refuses {weights}: it does not fit {path.name}; pass the two files pnnx wrote together"
        raise ModelLoadError(msg)
    return net


def _declared(path: Path, text: str, given: tuple[TensorSpec, ...], /) -> tuple[tuple[TensorSpec, ...], bool]:
    """Specs of the inputs, from the options or from the file, and whether they have a batch axis."""
    try:
        shapes = input_shapes(text)
    except ModelLoadError as error:
        msg = f"{path} is not a .param file of ncnn: {error}"
        raise ModelLoadError(msg) from error
    specs = given or tuple(TensorSpec(name=name, shape=shape, dtype=_DTYPE) for name, shape in shapes.items())
    if {spec.name for spec in specs} != set(shapes) or any(spec.dtype != _DTYPE for spec in specs):
        msg = (
            f"{path} takes the {_DTYPE} inputs {', '.join(shapes)}: declare these in RuntimeOptions(inputs=…)"
        )
        raise ModelLoadError(msg)
    if not all(spec.shape and min(spec.shape) > 0 and len(spec.shape) <= _MAX_RANK for spec in specs):
        msg = (
            f"{path} does not say the shapes of its inputs {', '.join(shapes)}: declare them in "
            f"RuntimeOptions(inputs=…), up to {_MAX_RANK} axes, none free"
        )
        raise ModelLoadError(msg)
    return specs, bool(given) and all(len(spec.shape) == _MAX_RANK and spec.shape[0] == 1 for spec in given)


def _agreed(wanted: TensorSpec, found: TensorSpec, /) -> TensorSpec:
    if wanted.dtype != found.dtype or math.prod(wanted.shape) != math.prod(found.shape):
        msg = (
            f"output {found.name!r} is {found.dtype}{list(found.shape)}, declared was "
            f"{wanted.dtype}{list(wanted.shape)}: correct RuntimeOptions(outputs=…)"
        )
        raise ModelRunError(msg)
    return wanted


create = NcnnRuntime
