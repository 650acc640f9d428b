"""The child that tries broken model files, one after another, until one of them kills it.

Run as a module it is that child: for each file on its input it says on its output which stage begins, and at last
how it ended. Our readers come first (graph, flow, cuts, parts), then the engine (load, run, parts).
"""

import itertools
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import numpy as np

from inference.confinement import confine
from inference.errors import InferenceError
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import open_runtime
from inference.split.model import SplitModel, split_model
from inference.split.placed import open_part, run_whole

MEMORY_BYTES = 2 << 30
READING, SPLITTING, OPENING, RUNNING, PARTS = "reading", "splitting", "opening", "running", "parts"
READER_STAGES = (READING, SPLITTING)
_WHOLE_LIFE_CPU_S = 100_000.0  # the parent watches every file by its own clock
_ENGINES = {".tflite": ("litert", RuntimeOptions()), ".onnx": ("onnx", RuntimeOptions(optimisation="none"))}
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Say = Callable[[dict[str, Any]], None]


class _Trial:
    """One file on its way through the stages."""

    def __init__(self, content: bytes, *, suffix: str, number: int, say: Say) -> None:
        self._content, self._suffix, self._say = content, suffix, say
        self._rng = Random(number)
        self.stage = ""
        self.reader: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """How it ended."""
        try:
            split, borders = self._read()
            self._compute(split, borders)
        except InferenceError as error:
            return self._ended("refused", error)
        except MemoryError as error:
            return self._ended("raised" if self.stage in READER_STAGES else "refused", error)
        except Exception as error:  # noqa: BLE001 - any other exception is the finding
            return self._ended("raised", error)
        return self._ended("accepted", None)

    def _begin(self, stage: str) -> None:
        self.stage = stage
        self._say({"stage": stage})

    def _read(self) -> tuple[SplitModel, list[tuple[int, int]]]:
        before_bytes, cpu_s = _reset_peak_bytes(), time.process_time()
        try:
            self._begin(READING)
            split = split_model(self._content)
            self._begin(SPLITTING)
            inner = [cut.position for cut in split.cuts[1:-1]]
            last = len(split.flow.operators)
            between = sorted(self._rng.sample(inner, min(2, len(inner))))
            places = [0, *between, last]
            borders = list(itertools.pairwise(places))
            for start, end in borders:
                split.part(start, end)
        finally:
            self.reader = {
                "reader_cpu_ms": 1e3 * (time.process_time() - cpu_s),
                "reader_mb": max(_peak_bytes() - before_bytes, 0) / 1e6,
            }
        return split, borders

    def _compute(self, split: SplitModel, borders: list[tuple[int, int]]) -> None:
        name, options = _ENGINES[self._suffix]
        runtime = open_runtime(name, options=options)
        with ExitStack() as stack:
            self._begin(OPENING)
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"model{self._suffix}"
            path.write_bytes(self._content)
            model = runtime.load(path)
            stack.callback(model.close)
            self._begin(RUNNING)
            model.run([_zeros(spec.shape, spec.dtype) for spec in model.inputs()])
            self._begin(PARTS)
            parts = []
            for start, end in borders:
                parts.append(open_part(split, start, end, runtime=runtime))
                stack.callback(parts[-1].close)
            inputs = [split.flow.tensors[index] for index in split.flow.inputs]
            run_whole(parts, {tensor.name: _zeros(tensor.shape, tensor.dtype) for tensor in inputs})

    def _ended(self, outcome: str, error: BaseException | None) -> dict[str, Any]:
        reason = "" if error is None else (str(error).splitlines() or [""])[0]
        kind = "" if error is None else type(error).__name__
        return {"outcome": outcome, "at": self.stage, "error": kind, "reason": reason[:300], **self.reader}


def _zeros(shape: tuple[int, ...], dtype: str) -> Any:
    if np.prod([abs(size) for size in shape], dtype=float) * np.dtype(dtype).itemsize > MEMORY_BYTES:
        raise MemoryError
    return np.zeros([abs(size) for size in shape], np.dtype(dtype))


def _reset_peak_bytes() -> int:
    """Begin a new peak of resident memory where the system can; returns what is resident now."""
    try:
        _CLEAR.write_text("5")
    except OSError:  # not everywhere; the peak of the whole life then stands for it
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _status_bytes("VmRSS:")


def _peak_bytes() -> int:
    return _status_bytes("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status_bytes(name: str) -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _serve(questions: BinaryIO, say: Say) -> None:
    for name, options in _ENGINES.values():
        open_runtime(name, options=options)
    confine(cpu_s=_WHOLE_LIFE_CPU_S, memory_bytes=MEMORY_BYTES)
    say({"ready": True})
    while line := questions.readline():
        question = json.loads(line)
        content = questions.read(question["bytes"])
        say(_Trial(content, suffix=question["suffix"], number=question["number"], say=say).run())


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silent = os.open(os.devnull, os.O_WRONLY)  # engines print what they think of a file
    os.dup2(silent, 1)
    os.dup2(silent, 2)

    def say(row: dict[str, Any]) -> None:
        answers.write(json.dumps(row) + "\n")
        answers.flush()

    _serve(sys.stdin.buffer, say)


if __name__ == "__main__":
    _main()
