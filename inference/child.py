"""Shell: try a model file in a child process first, so that one that crashes the engine harms nobody.

Run as a module it is that child: it opens the file, runs it once on zeros, says in one JSON line how it went.
"""

import json
import math
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from inference.errors import InferenceError
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
    """Open and run a model file once in a child process."""
    command = [sys.executable, "-m", "inference.child", runtime, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, text=True)
    except subprocess.TimeoutExpired:
        return ChildReport(outcome="hung", detail=f"gave no answer within {timeout_s:g} s and was killed")
    if done.returncode == 0:
        return ChildReport(outcome="ok", detail=_last_line(done.stdout))
    if done.returncode == _EXIT_REFUSED:
        return ChildReport(outcome="refused", detail=_last_line(done.stdout))
    if done.returncode < 0:
        return ChildReport(outcome="crashed", detail=f"killed by {signal.Signals(-done.returncode).name}")
    detail = f"exit code {done.returncode}: {_last_line(done.stderr)}"
    return ChildReport(outcome="crashed", detail=detail)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:_MAX_DETAIL] if lines else ""


def _try(runtime: str, path: Path) -> int:
    try:
        with closing(open_runtime(runtime).load(path, threads=1)) as model:
            outputs = model.run(
                [np.zeros([abs(n) for n in spec.shape], np.dtype(spec.dtype)) for spec in model.inputs()]
            )
    except InferenceError as error:
        sys.stdout.write(f"{str(error).splitlines()[0]}\n")
        return _EXIT_REFUSED
    sizes = [math.prod(array.shape) for array in outputs]
    sys.stdout.write(f"{json.dumps({'outputs': len(outputs), 'values': sizes})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_try(sys.argv[1], Path(sys.argv[2])))
