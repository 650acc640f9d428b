"""Table of engines: a runtime that is not a row here does not exist.

An engine's module is imported only when it is asked for, so a headset without onnxruntime never notices.
Each module offers ``create(options) -> Runtime``.
"""

from dataclasses import dataclass
from importlib import import_module

from inference.errors import RuntimeMissingError
from inference.runtimes.base import Runtime
from inference.runtimes.options import RuntimeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """Where an engine's loader lives, what to install for it, which files it opens, the likeliest first."""

    module: str
    install: str
    suffixes: tuple[str, ...]


def _row(engine: str, extra: str, *suffixes: str) -> RuntimeRow:
    return RuntimeRow(module=f"inference.runtimes.{engine}", install=extra, suffixes=suffixes)


RUNTIMES: dict[str, RuntimeRow] = {
    "litert": _row("litert", "headway[edge]", ".tflite"),
    "tflite": _row("tflite", "headway[tflite]", ".tflite"),
    "onnx": _row("onnx", "headway[worker]", ".onnx"),
    "openvino": _row("openvino", "headway[openvino]", ".tflite", ".onnx"),
    "mnn": _row("mnn", "headway[mnn]", ".mnn", ".tflite", ".onnx"),
    "ncnn": _row("ncnn", "headway[ncnn]", ".param"),
    "null": _row("null", "headway"),
}

# what people type -> the row; a row's own name is understood too
WORDS: dict[str, str] = {
    "litert": "litert",
    "tflite": "tflite",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "mnn": "mnn",
    "ncnn": "ncnn",
    "null": "null",
}


def row_of(word: str, /) -> str:
    """The row meant by a word of the command line; an unknown word stays itself, for ``open_runtime`` to refuse."""
    return WORDS.get(word, word)


def open_runtime(name: str, /, *, options: RuntimeOptions | None = None) -> Runtime:
    """Open an engine by its row or its word.

    Raises:
        RuntimeMissingError: unknown name, or the engine is not installed; names the extra.
    """
    row = RUNTIMES.get(row_of(name))
    if row is None:
        msg = f"unknown runtime {name!r}: choose one of {', '.join(WORDS)}"
        raise RuntimeMissingError(msg)
    try:
        module = import_module(row.module)
    except (ImportError, SystemError) as error:
        msg = f"runtime {name} is not installed ({error}): install {row.install}"
        raise RuntimeMissingError(msg) from error
    runtime: Runtime = module.create(options)
    return runtime
