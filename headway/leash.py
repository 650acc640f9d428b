"""Shell: ``python -m headway.leash PARENT NICE COMMAND…`` becomes COMMAND, ended with its parent.

On Linux the kernel sends SIGTERM to the command when the thread that started it is gone
(prctl(2), PR_SET_PDEATHSIG, which survives execve). Elsewhere the command simply runs.
Standard library only: it is on the way of every start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command; exit with 1 when the parent is gone already."""
    parent, nice, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != parent:  # it died between fork and prctl: nobody would ever end us
            raise SystemExit(1)
    if nice:
        os.nice(nice)
    os.execv(command[0], command)  # noqa: S606 - an argument list, never a shell


if __name__ == "__main__":
    main(sys.argv[1:])
