"""Shell of tflite-runtime 2.14, the predecessor of LiteRT; its only importer.

It was built against numpy 1 and Python ≤ 3.11. Under numpy 2 its extension module prints a traceback and
then fails with a SystemError or ImportError, so the numpy version is checked before the import.
"""

from importlib.metadata import version

import numpy as np

from inference.errors import RuntimeMissingError
from inference.runtimes.base import Runtime
from inference.runtimes.interpreter import InterpreterRuntime
from inference.runtimes.options import RuntimeOptions

if int(np.__version__.split(".", maxsplit=1)[0]) >= 2:
    _reason = (
        f"tflite-runtime needs numpy < 2, this environment has {np.__version__}: "
        "use runtime litert here, or install headway[tflite] in an environment of its own (Python <= 3.11)"
    )
    raise RuntimeMissingError(_reason)

from tflite_runtime.interpreter import Interpreter, OpResolverType


def create(options: RuntimeOptions | None = None) -> Runtime:
    """tflite-runtime; with XNNPACK where its build has it, unless the options say otherwise."""
    return InterpreterRuntime(
        name="tflite",
        version=version("tflite-runtime"),
        engine=Interpreter,
        resolvers=OpResolverType,
        options=options,
    )
