"""Shell of tflite-runtime 2.14, the predecessor of LiteRT; its only importer.

It was built against numpy 1 and Python ≤ 3.11. Under numpy 2 its extension module prints a traceback and
then fails with a SystemError or ImportError, so the numpy version is checked before the import.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np

from inference.errors import RuntimeMissingError
from inference.runtimes.base import Model
from inference.runtimes.interpreter import open_interpreter, plain_kernels
from inference.runtimes.options import RuntimeOptions

if int(np.__version__.split(".", maxsplit=1)[0]) >= 2:
    _reason = (
        f"tflite-runtime needs numpy < 2, this environment has {np.__version__}: "
        "use runtime litert here, or install headway[tflite] in an environment of its own (Python <= 3.11)"
    )
    raise RuntimeMissingError(_reason)

from tflite_runtime.interpreter import Interpreter, OpResolverType


class TfliteRuntime:
    """Opens .tflite files with tflite-runtime."""

    name = "tflite"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self._resolver = (
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            if plain_kernels(options, engine=self.name)
            else OpResolverType.AUTO
        )
        self.version = version("tflite-runtime")

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model that tflite-runtime can open.
        """
        return open_interpreter(
            path,
            create=lambda content: Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=self._resolver,
            ),
        )


create = TfliteRuntime
