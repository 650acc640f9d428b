"""Vocabulary of refusals: every error the craft raises, under one base class.

A message says what is wrong and what to do. What must stay here: all error classes of this room, so that
a caller can catch ``InferenceError`` and never a bare ``Exception``.
"""

from inference.refusals import REASONS, Reason


class InferenceError(Exception):
    """Base of everything this room refuses or fails at."""


class RuntimeMissingError(InferenceError):
    """An engine is not installed or does not work here; names the extra to install."""


class ModelLoadError(InferenceError):
    """A file is not a model that the engine can open."""


class ModelInputError(InferenceError):
    """Inputs of a run differ from the model's specs in number, shape or dtype."""


class ModelRunError(InferenceError):
    """The engine failed while running, or the model was closed before."""


class GraphError(InferenceError):
    """A model file cannot be read as, or written from, a single plain graph."""


class QuantiseRefusedError(InferenceError):
    """A quantised model did not pass the gate, or could not be made; lists every reason and what to do."""

    def __init__(self, *reasons: Reason) -> None:
        fixes = dict.fromkeys(REASONS[reason.word] for reason in reasons)
        super().__init__(f"quantised model refused: {'; '.join(reasons)}: {', '.join(fixes)}")
        self.reasons = reasons


class ModelPackageError(InferenceError):
    """A model package is incomplete, altered or written by something else."""


class TaskError(InferenceError):
    """A model does not fit the task it was given to, or the input is not an image."""


class OracleError(InferenceError):
    """Photos or reference answers to score against are missing or not of the expected form."""


class ManagerUnreachableError(InferenceError):
    """No manager answers, or it does not have what was asked for."""


class PlacementError(InferenceError):
    """Placements cannot be computed from what was given, or none is allowed."""


class PackingError(InferenceError):
    """Tensors cannot be written as bytes, or bytes are not the tensors they say they are."""


class ProfileError(InferenceError):
    """A profile cannot be measured here, found or read."""


class NotFoundError(InferenceError):
    """A path or reference names nothing, or more than one thing."""
