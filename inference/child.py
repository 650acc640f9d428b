"""Shell: try a model file in a child process first, so that one that crashes the engine harms nobody.

Run as a module it is that child: it confines itself, opens the file, runs it once on zeros, says in one JSON line
how it went.
"""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from inference.confinement import MEMORY_BYTES, child_environment, confine
from inference.errors import InferenceError, ModelLoadError
from inference.runtimes.base import Array, TensorSpec
from inference.runtimes.registry import open_runtime

DEFAULT_TIMEOUT_S = 30.0
_MAX_DETAIL = 500
_EXIT_REFUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReport:
    """How a model file behaved; ``detail`` is one line for people."""

    outcome: Literal["ok", "refused", "crashed", "hung"]
    detail: str

    @property
    def passed(self) -> bool:
        """Whether the file opened and ran."""
        return self.outcome == "ok"


def open_in_child(path: Path, /, *, runtime: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> ChildReport:
    """Open and run a model file once in a child process; it has at most ``timeout_s`` and its share of memory."""
    command = [sys.executable, "-m", "inference.child", runtime, str(path.resolve()), str(timeout_s)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            text=True,
            errors="replace",
            env=child_environment(os.environ),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return ChildReport(outcome="hung", detail=f"gave no answer within {timeout_s:g} s and was killed")
    if done.returncode == 0:
        return ChildReport(outcome="ok", detail=_last_line(done.stdout))
    if done.returncode == _EXIT_REFUSED:
        return ChildReport(outcome="refused", detail=_last_line(done.stdout))
    if done.returncode == -signal.SIGXCPU:
        return ChildReport(outcome="hung", detail="used up its processor time and was killed")
    if done.returncode < 0:
        return ChildReport(outcome="crashed", detail=f"killed by {signal.Signals(-done.returncode).name}")
    detail = f"exit code {done.returncode}: {_last_line(done.stderr)}"
    return ChildReport(outcome="crashed", detail=detail)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:_MAX_DETAIL] if lines else ""


def _try(runtime: str, path: Path, *, timeout_s: float) -> int:
    try:
        engine = open_runtime(runtime)
        confine(cpu_s=timeout_s * (os.cpu_count() or 1))
        with closing(engine.load(path, threads=1)) as model:
            outputs = model.run([_zeros(spec) for spec in model.inputs()])
    except InferenceError as error:
        return _refused(str(error).splitlines()[0])
    except MemoryError:
        return _refused(
            f"the model needs more than {MEMORY_BYTES >> 30} GiB to open or run: use a smaller one"
        )
    sizes = [math.prod(array.shape) for array in outputs]
    sys.stdout.write(f"{json.dumps({'outputs': len(outputs), 'values': sizes})}\n")
    return 0


def _zeros(spec: TensorSpec) -> Array:
    shape = [abs(size) for size in spec.shape]
    if math.prod(shape) * np.dtype(spec.dtype).itemsize > MEMORY_BYTES:
        msg = f"the input {spec.name!r} has the shape {list(spec.shape)}, more than fits here: use a smaller model"
        raise ModelLoadError(msg)
    return np.zeros(shape, np.dtype(spec.dtype))


def _refused(reason: str) -> int:
    sys.stdout.write(f"{reason}\n")
    return _EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(_try(sys.argv[1], Path(sys.argv[2]), timeout_s=float(sys.argv[3])))
