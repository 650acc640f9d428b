"""Run one command, and end it as soon as the parent is gone. Standard library only.

Shell, started as a script of its own: it reads nothing from this project, so that
it starts in milliseconds. The parent is gone when the pipe on stdin ends or when
our parent's id changes; the second covers a pipe that some forked child of the
parent still holds open. On Linux the child also dies with this process itself.

A child that is asked to end has ``--grace`` seconds for it (1 where it is not given, or
when the parent is gone), then it is killed.
It prints the child's process id on one line of stdout and exits as the child did.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

_POLL_S = 0.25
_GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1


def _die_with_us() -> Callable[[], None] | None:
    """Return what the child runs before exec, where the system has such a thing."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may allocate much
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _parent_gone(parent: int) -> bool:
    readable, _, _ = select.select([0], [], [], _POLL_S)
    if readable and not os.read(0, 64):
        return True
    return os.getppid() != parent


def _end(child: subprocess.Popen[bytes], *, grace_s: float) -> None:
    # Mosquitto forgets a SIGTERM that comes just before its main loop begins.
    child.terminate()
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main(arguments: list[str]) -> int:
    """Run `[--grace S] COMMAND…`; returns its exit status, or 128 + the signal that ended it."""
    grace_s, command = _GRACE_S, arguments
    if arguments[:1] == ["--grace"]:
        grace_s, command = float(arguments[1]), arguments[2:]
    parent = os.getppid()
    child = subprocess.Popen(  # preexec_fn is safe: this process has one thread
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_us(),  # noqa: PLW1509
    )
    asked_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked_to_end.append(number))
    with contextlib.suppress(BrokenPipeError):  # the parent is gone already; the loop sees that
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
    while child.poll() is None:
        if asked_to_end:
            _end(child, grace_s=grace_s)
        elif _parent_gone(parent):
            _end(child, grace_s=_GRACE_S)  # nobody waits for its last words any more
    status = child.returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
