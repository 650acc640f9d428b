"""Core shared by all engines: the frame around the computation of a loaded model.

Keeps the specs, refuses runs of a closed model and inputs that do not fit, and answers an engine's exception with
this room's error. What must stay here: the only implementation of ``Model``; an engine adds its computation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.errors import ModelRunError
from inference.runtimes.base import Array, TensorSpec
from inference.runtimes.checks import check_arrays

Computation = Callable[[Sequence[Array]], tuple[Array, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFailure:
    """How an engine fails: in whose name, with which exceptions, what they say, and what to do about it."""

    engine: str
    errors: tuple[type[Exception], ...] = ()
    load_advice: str = ""
    run_advice: str = ""
    reason: Callable[[Exception], str] = str


class CheckedModel:
    """A model held by one engine; belongs to one thread at a time.

    ``compute`` takes inputs that fit the specs, gives arrays that nothing else refers to, and holds everything of
    the engine, so that dropping it releases the memory.
    """

    def __init__(
        self,
        compute: Computation,
        /,
        *,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        failure: EngineFailure,
    ) -> None:
        self._compute: Computation | None = compute
        self._inputs, self._outputs = inputs, outputs
        self._failure = failure

    def inputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs in run order; -1 stands for a free dimension."""
        return self._inputs

    def outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs in run order; -1 stands for a free dimension."""
        return self._outputs

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; results are copies.

        Raises:
            ModelInputError: a shape or dtype differs from the spec.
            ModelRunError: the engine failed or the model is closed.
        """
        if self._compute is None:
            msg = "this model was closed: load it again before running it"
            raise ModelRunError(msg)
        check_arrays(inputs, self._inputs)
        failure = self._failure
        try:
            return self._compute(inputs)
        except failure.errors as error:
            msg = f"{failure.engine} failed while running: {failure.reason(error)}; {failure.run_advice}"
            raise ModelRunError(msg) from error

    def close(self) -> None:
        """Release the engine's memory. Idempotent."""
        self._compute = None
