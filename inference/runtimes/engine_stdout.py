"""Shell: keeps what a native library prints on standard output away from ours.

Standard output belongs to the answer of a command (``--json``); a library that greets there would spoil it.
Redirects the file descriptor itself, because such text never passes Python, and empties C's own buffer first.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDOUT, _STDERR = 1, 2
_one_at_a_time = threading.RLock()


@contextmanager
def engine_stdout_to_stderr() -> Iterator[None]:
    """Inside, whatever is printed on standard output goes to standard error."""
    with _one_at_a_time:
        _flush()
        kept = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
