"""Vocabulary: what can be chosen when an engine is opened, and how a wrong choice is answered.

The number of threads is no option: it comes with each ``load``, because one engine serves many models.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.errors import RuntimeMissingError
from inference.runtimes.base import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Choices of one engine; each engine reads only its own and ignores the rest.

    ``providers``: execution providers of onnxruntime or devices of OpenVINO, best first; empty means the CPU.
    ``delegates``: of litert and tflite, "xnnpack" or none at all; None leaves the choice to the engine, which
    takes XNNPACK where it was built in. The plain kernels of ``()`` are slower and round differently.
    ``conversions``: folder where mnn keeps converted models by digest; None converts again at every load.
    ``optimisation``: how far onnxruntime rewrites a model when it opens it: ``none``, ``basic``, ``extended`` or
    ``all``. Rewriting joins operators across the place of a cut, so parts give the whole's bits only with ``none``,
    and only at equal thread count.
    ``inputs`` and ``outputs``: what a model of the null engine declares; for ncnn, whose files need not say
    it, the shapes a model takes, and optionally its outputs in the order wanted.
    """

    providers: tuple[str, ...] = ()
    optimisation: str = "all"
    delegates: tuple[str, ...] | None = None
    conversions: Path | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


def check_choice(what: str, chosen: Sequence[str], /, *, offered: Collection[str], engine: str) -> None:
    """Refuse names that an engine does not offer.

    Raises:
        RuntimeMissingError: lists what the engine offers here.
    """
    if unknown := [name for name in chosen if name not in offered]:
        msg = (
            f"{engine} here has no {what} {', '.join(unknown)}; it offers {', '.join(offered)}: "
            f"choose one of these or install a build of {engine} that has it"
        )
        raise RuntimeMissingError(msg)
