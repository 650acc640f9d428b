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
from inference.runtimes.checks import check_arrays
from inference.runtimes.ncnn_param import input_shapes
from inference.runtimes.options import RuntimeOptions

_DTYPE = "float32"
_MAX_RANK = 4
_PRECISIONS = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")


class NcnnModel:
    """A model held by one ncnn net; belongs to one thread at a time."""

    def __init__(
        self, net: Any, *, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], batched: bool
    ) -> None:
        self._net: Any = net
        self._inputs, self._batched = inputs, batched
        names = tuple(spec.name for spec in outputs) or tuple(net.output_names())
        blank = self._compute([np.zeros(spec.shape, np.float32) for spec in inputs], names)
        found = tuple(self._found(name, array) for name, array in zip(names, blank, strict=True))
        self._outputs = tuple(_agreed(*pair) for pair in zip(outputs or found, found, strict=True))

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in run order."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in run order."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; results are copies.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the engine failed or the model is closed.
        """
        if self._net is None:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        results = self._compute(inputs, tuple(spec.name for spec in self._outputs))
        return tuple(array.reshape(spec.shape) for array, spec in zip(results, self._outputs, strict=True))

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._net = None

    def _compute(self, inputs: Sequence[Array], names: tuple[str, ...], /) -> tuple[Array, ...]:
        extractor = self._net.create_extractor()
        for spec, array in zip(self._inputs, inputs, strict=True):
            plain = np.ascontiguousarray(array[0] if self._batched else array)
            if extractor.input(spec.name, ncnn.Mat(plain).clone()):
                msg = f"ncnn does not take input {spec.name!r}: declare the names that its .param file has"
                raise ModelRunError(msg)
        results = []
        for name in names:
            code, mat = extractor.extract(name)
            if code:
                msg = f"ncnn failed at output {name!r} (code {code}): check the declared names and shapes"
                raise ModelRunError(msg)
            results.append(np.array(mat))
        return tuple(results)

    def _found(self, name: str, array: Array, /) -> TensorSpec:
        shape = (1, *array.shape) if self._batched else array.shape
        return TensorSpec(name=name, shape=shape, dtype=array.dtype.name)


class NcnnRuntime:
    """Opens .param and .bin files with ncnn on the CPU."""

    name = "ncnn"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self.version = str(ncnn.__version__)
        self._options = options or RuntimeOptions()

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file and run it once on zeros, because only that tells the shapes of its outputs.

        Raises:
            ModelLoadError: not a pair of files that ncnn can open, or shapes that nobody declared.
        """
        weights = path.with_suffix(".bin")
        try:
            text = path.read_text(encoding="utf-8")
            weights.stat()
        except OSError as error:
            msg = f"cannot read the model {error.filename}: {error.strerror}; ncnn needs {path} and {weights}"
            raise ModelLoadError(msg) from error
        except UnicodeDecodeError as error:
            msg = f"{path} is not a .param file of ncnn: convert the model with pnnx and pass its .ncnn.param"
            raise ModelLoadError(msg) from error
        inputs, batched = _declared(path, text, self._options.inputs)
        net = _open(path, weights, threads=threads)
        try:
            return NcnnModel(net, inputs=inputs, outputs=self._options.outputs, batched=batched)
        except ModelRunError as error:
            msg = f"ncnn cannot run {path}: {error}"
            raise ModelLoadError(msg) from error


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
