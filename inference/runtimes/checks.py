"""Core shared by all engines: whether arrays match the specs they are meant for.

A dimension of -1 in a spec accepts any size. Refuses by raising; converts and copies nothing.
"""

from collections.abc import Sequence

from inference.errors import ModelInputError
from inference.runtimes.base import Array, TensorSpec

ANY_SIZE = -1


def check_arrays(arrays: Sequence[Array], specs: Sequence[TensorSpec], /) -> None:
    """Compare arrays with the specs they are meant for.

    Raises:
        ModelInputError: number, shape or dtype differs; says which input and what was expected.
    """
    if len(arrays) != len(specs):
        msg = f"the model takes {len(specs)} inputs, got {len(arrays)}: pass one array per input, in order"
        raise ModelInputError(msg)
    for index, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
        if array.dtype.name != spec.dtype or not fits(array.shape, spec.shape):
            msg = (
                f"input {index} ({spec.name!r}) must be {spec.dtype}{list(spec.shape)}, "
                f"got {array.dtype.name}{list(array.shape)}: convert it before the run"
            )
            raise ModelInputError(msg)


def fits(shape: tuple[int, ...], expected: tuple[int, ...], /) -> bool:
    """Say whether a concrete shape satisfies a declared one."""
    return len(shape) == len(expected) and all(
        want in (ANY_SIZE, got) for got, want in zip(shape, expected, strict=True)
    )
