"""Core shared by all engines: the frame around opening a model file.

Refuses thread counts that no engine can have, files that cannot be read, and answers an engine's exception with this
room's error. What must stay here: the only implementation of ``Runtime.load``; an engine adds how it opens a file.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from inference.errors import InferenceError, ModelLoadError
from inference.runtimes.base import Model
from inference.runtimes.checked_model import EngineFailure


class CheckedRuntime(ABC):
    """An engine that opens model files."""

    name: str
    version: str
    failure: ClassVar[EngineFailure]

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: not a readable file with a model that this engine can open, or less than one thread.
        """
        if threads < 1:
            msg = f"cannot open {path} with {threads} threads: pass a whole number from 1"
            raise ModelLoadError(msg)
        try:
            return self._opened(path, threads=threads)
        except (InferenceError, OSError):  # said already, or the disk's fault and not the model's
            raise
        except self.failure.errors as error:
            failure = self.failure
            msg = f"{failure.engine} refuses {path}: {failure.reason(error)}; {failure.load_advice}"
            raise ModelLoadError(msg) from error

    @abstractmethod
    def _opened(self, path: Path, /, *, threads: int) -> Model:
        """Open the file with the engine, whose exceptions may pass."""


@contextmanager
def readable_file(path: Path, /, *, advice: str = "check the path and its rights") -> Iterator[None]:
    """Refuse a file that cannot be read, by its name.

    Raises:
        ModelLoadError: an OSError came from within.
    """
    try:
        yield
    except OSError as error:
        msg = f"cannot read the model {error.filename or path}: {error.strerror}; {advice}"
        raise ModelLoadError(msg) from error
