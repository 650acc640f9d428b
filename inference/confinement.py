"""Shell: what a child process that opens strange model files may have of this machine.

Its environment is a short list of names, so that no password or address reaches it; it confines itself before it
touches the file: address space, processor time, no core dumps. What must stay here: these limits, for every
such child.
"""

import contextlib
import math
import os
import resource
from collections.abc import Mapping
from pathlib import Path

MEMORY_BYTES = 4 << 30  # on top of what the child has when it confines itself
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"),
    *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
)
# Each thread of glibc reserves address space of its own; on a machine with many cores that alone would fill the limit.
_SET = {"MALLOC_ARENA_MAX": "2", "PYTHONFAULTHANDLER": "0"}
_STATM = Path("/proc/self/statm")


def child_environment(environ: Mapping[str, str], /) -> dict[str, str]:
    """The names that Python and the engines need, and nothing else."""
    return {name: environ[name] for name in _PASSED_ON if name in environ} | _SET


def confine(*, cpu_s: float, memory_bytes: int = MEMORY_BYTES) -> None:
    """Limit this process for good: more address space or processor time is refused or ends it.

    ``cpu_s`` of all its threads together and ``memory_bytes`` count from now. Systems that know a limit not are
    left without it.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(used.ru_utime + used.ru_stime + cpu_s)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    if _STATM.is_file():
        reserved = int(_STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _limit(resource.RLIMIT_AS, reserved + memory_bytes, reserved + memory_bytes)


def _limit(what: int, soft: int, hard: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:  # nobody may raise what is set already
        soft, hard = min(soft, most), min(hard, most)
    # A container may forbid to change limits; those it set itself hold then.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (soft, hard))
