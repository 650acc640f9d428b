"""Shell: make a .mnn file out of .onnx or .tflite, in a child process.

The converter of the MNN wheel aborts on some damaged files and says success after others, so it runs apart
and the only proof taken is the file it leaves. Run as a module it is that child. It calls the native
converter itself and must go on doing so: MNN's own Python command for it installs a package with pip and
reports usage to its maker as soon as it is imported.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from inference.errors import ModelLoadError

FORMATS = {".onnx": "ONNX", ".tflite": "TFLITE"}
_TIMEOUT_S = 300.0
_MAX_DETAIL = 300


def converted(content: bytes, /, *, suffix: str, version: str, folder: Path, source: Path) -> Path:
    """Path of the model in MNN's format; converts only what the folder does not hold yet.

    ``version`` is MNN's, because another version may convert in another way.

    Raises:
        ModelLoadError: the converter cannot make sense of the file; says what it said last.
    """
    key = hashlib.sha256(f"{version}\0{suffix}\0".encode() + content).hexdigest()
    kept = folder / f"{key}.mnn"
    if kept.is_file():
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".converting-") as scratch:
        given, made = Path(scratch, f"given{suffix}"), Path(scratch, "made.mnn")
        given.write_bytes(content)
        said = _convert_in_child(given, made)
        if not made.is_file() or not made.stat().st_size:
            msg = f"MNN cannot convert {source}: {said}; pass a {' or '.join(FORMATS)} model it supports"
            raise ModelLoadError(msg)
        with made.open("rb") as written:
            os.fsync(
                written.fileno()
            )  # a name in the folder means a whole file, after a loss of power as well
        made.replace(kept)
    return kept


def _convert_in_child(given: Path, made: Path, /) -> str:
    command = [sys.executable, "-m", __name__, FORMATS[given.suffix], str(given), str(made)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_TIMEOUT_S, check=False, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return f"the converter gave no answer within {_TIMEOUT_S:g} s"
    if done.returncode < 0:
        return f"the converter was killed by signal {-done.returncode}"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[-1][:_MAX_DETAIL] if lines else f"the converter ended with code {done.returncode}"


if __name__ == "__main__":
    _kind, _given, _made = sys.argv[1:]
    import_module("_tools").mnnconvert(
        ["mnnconvert", "-f", _kind, "--modelFile", _given, "--MNNModel", _made, "--bizCode", "headway"]
    )
