"""Shell of LiteRT, the default engine; the only file that imports the interpreter of ``ai_edge_litert``.

Import it through ``registry.open_runtime``, which turns a missing engine into a named extra.
"""

from importlib.metadata import version
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from inference.runtimes.base import Model
from inference.runtimes.interpreter import open_interpreter, plain_kernels
from inference.runtimes.options import RuntimeOptions


class LitertRuntime:
    """Opens .tflite files with LiteRT (XNNPACK on CPUs)."""

    name = "litert"

    def __init__(self, options: RuntimeOptions | None = None) -> None:
        self._resolver = (
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            if plain_kernels(options, engine=self.name)
            else OpResolverType.AUTO
        )
        self.version = version("ai-edge-litert")

    def load(self, path: Path, *, threads: int = 1) -> Model:
        """Open a model file.

        Raises:
            ModelLoadError: the file is not a model that LiteRT can open.
        """
        return open_interpreter(
            path,
            create=lambda content: Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=self._resolver,
            ),
        )


create = LitertRuntime
