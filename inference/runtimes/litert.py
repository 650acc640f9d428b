"""Shell of LiteRT, the default engine; the only file that imports the interpreter of ``ai_edge_litert``.

Import it through ``registry.open_runtime``, which turns a missing engine into a named extra.
"""

from importlib.metadata import version

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from inference.runtimes.base import Runtime
from inference.runtimes.interpreter import InterpreterRuntime
from inference.runtimes.options import RuntimeOptions


def create(options: RuntimeOptions | None = None) -> Runtime:
    """LiteRT; on CPUs with XNNPACK unless the options say otherwise."""
    return InterpreterRuntime(
        name="litert",
        version=version("ai-edge-litert"),
        engine=Interpreter,
        resolvers=OpResolverType,
        options=options,
    )
