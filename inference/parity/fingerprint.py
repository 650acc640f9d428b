"""Core: tell by a model's answers which arithmetic computes it.

Engines, versions, delegates and processors round differently, and no version number says so reliably. The same
inputs through the same model give the same bytes on one kernel path, so the digest of these bytes names the path:
equal fingerprints mean that parts run in either place give the same results. A split model is fingerprinted
with its constants folded, as its parts are: engines choose other kernels for weights that they must compute.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import closing

import numpy as np

from inference.errors import GraphError
from inference.graph.flow import Flow, FlowTensor
from inference.runtimes.base import Array, Runtime
from inference.split.model import SplitModel
from inference.split.placed import open_part

CANARY_COUNT = 4
INNER_WITNESSES = 3
_BITS = np.uint64(40)  # 64 random bits less these leave the 24 that a float32 holds exactly


def split_fingerprint(
    split: SplitModel, /, *, runtime: Runtime, threads: int = 1, canaries: Sequence[Sequence[Array]] = ()
) -> str:
    """Fingerprint of a split model where its parts will run: of the whole, and of what crosses a few inner cuts.

    Outputs alone can be equal by chance where they are few and coarse: a detector of one class in int8 gave the
    same two numbers on two kernel paths whose inner tensors differed. Made-up canaries serve where none are given.

    Raises:
        GraphError: there are no canaries for the inputs' types.
        ModelLoadError: the engine cannot open the whole or a head.
        ModelRunError: the engine failed.
    """
    names = [split.flow.tensors[index].name for index in split.flow.inputs]
    rows = [dict(zip(names, row, strict=True)) for row in canaries or canaries_for(split.flow)]
    answers: list[list[Array]] = []
    for position in _witnesses(split):
        with closing(open_part(split, 0, position, runtime=runtime, threads=threads)) as head:
            answers += [[results[name] for name in head.outputs] for results in map(head.run, rows)]
    return digest_of(answers)


def _witnesses(split: SplitModel) -> list[int]:
    """Positions spread over the cuts at which heads yield something, and the end."""
    given = set(split.flow.inputs)
    inner = [cut.position for cut in split.cuts if not given.issuperset(cut.crossing)]
    chosen = {
        inner[len(inner) * part // (INNER_WITNESSES + 1)] for part in range(1, INNER_WITNESSES + 1) if inner
    }
    return sorted({*chosen, len(split.flow.operators)})


def digest_of(answers: Iterable[Sequence[Array]], /) -> str:
    """Digest (sha256, hex) over dtype, shape and little-endian bytes of every array in order."""
    digest = hashlib.sha256()
    for arrays in answers:
        for array in arrays:
            values = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{array.dtype.name}{list(array.shape)}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def canaries_for(flow: Flow, /, *, seed: int = 0, count: int = CANARY_COUNT) -> tuple[tuple[Array, ...], ...]:
    """Inputs for a model that brings no canaries of its own, in the model's order; the same for a seed everywhere.

    Floats lie in [0, 1), 8-bit integers anywhere, wider integers are 0 or 1: they may be indices.

    Raises:
        GraphError: an input has a type without plain values.
    """
    inputs = [flow.tensors[index] for index in flow.inputs]
    # The raw stream of a bit generator never changes between versions of numpy; its distributions may.
    stream = np.random.PCG64(seed)
    return tuple(tuple(_values(tensor, stream) for tensor in inputs) for _ in range(count))


def _values(tensor: FlowTensor, stream: np.random.PCG64) -> Array:
    dtype = np.dtype(tensor.dtype)
    raw = np.asarray(stream.random_raw(int(np.prod(tensor.shape, dtype=np.int64))), np.uint64)
    bits = raw.reshape(tensor.shape)
    if dtype.kind == "f":
        return ((bits >> _BITS).astype(np.float32) / np.float32(1 << 24)).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        return (bits >> np.uint64(56)).astype(np.uint8).view(dtype)
    if dtype.kind in "iub":
        return (bits >> np.uint64(63)).astype(dtype)
    msg = f"the input {tensor.name!r} holds {tensor.dtype}, for which there are no canaries: bring your own"
    raise GraphError(msg)
