"""Shell: what decides how fast a model runs on this machine, and its fingerprint.

Processor, its instructions and cores, the engine with its version and choices: equal fingerprints may share a
profile. Clock rates and loads are not part of it; a profile's reference kernel speaks of those.
"""

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.runtimes.base import Runtime
from inference.runtimes.options import RuntimeOptions

_CPU_INFO = Path("/proc/cpuinfo")
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One machine as seen by one engine; ``flags`` are the processor's instructions in order."""

    cpu: str
    flags: tuple[str, ...]
    cores: int
    machine: str
    runtime: str
    runtime_version: str
    delegate: str

    @property
    def fingerprint(self) -> str:
        """Sha256 over all fields, shortened to 12 hex digits: it names files, it proves nothing."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:_SHORT]


def this_machine(runtime: Runtime, options: RuntimeOptions, /) -> Hardware:
    """The machine that this process runs on."""
    rows = _cpu_rows()
    return Hardware(
        cpu=rows.get("model name") or rows.get("CPU part") or platform.processor() or platform.machine(),
        flags=tuple(sorted((rows.get("flags") or rows.get("Features") or "").split())),
        cores=os.cpu_count() or 1,
        machine=platform.machine(),
        runtime=runtime.name,
        runtime_version=runtime.version,
        delegate=_choices(runtime, options),
    )


def _choices(runtime: Runtime, options: RuntimeOptions) -> str:
    """What was chosen of the engine, in a word: kernels of a .tflite engine, rewriting level of onnxruntime."""
    if runtime.name == "onnx":
        return "+".join([*options.providers, f"optimisation={options.optimisation}"])
    if options.delegates is not None:
        return "+".join(options.delegates) or "none"
    return "+".join(options.providers) or "default"


def _cpu_rows() -> dict[str, str]:
    if not _CPU_INFO.is_file():
        return {}
    rows: dict[str, str] = {}
    for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            rows.setdefault(key.strip(), value.strip())
    return rows
