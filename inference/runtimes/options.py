"""Vocabulary: what can be chosen when an engine is opened."""

from dataclasses import dataclass

from inference.runtimes.base import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Choices of one engine; each engine reads only its own and ignores the rest.

    ``providers``: execution providers of onnxruntime, best first; empty means its CPU provider.
    ``inputs`` and ``outputs``: what a model of the null engine declares.
    """

    providers: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
