"""Shell: standard output, to the end of the process: what a command says arrives, or its exit code tells that it did not.

Whatever command runs, a full disk below its output ends it with one line on standard error and 1, and a reader that has
gone, as ``head`` does, ends it with 1 without a word. Other errors are not this file's: they stay as loud as they are.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

EXIT_FAILED = 1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def arriving() -> Iterator[None]:
    """Run a command up to its ``SystemExit``, and see that all it said was written by then.

    Raises:
        SystemExit: the command's own, or with 1 where its output was lost.
    """
    ended: object = None
    try:
        try:
            yield
        except SystemExit as end:
            ended = end.code
            raise
        finally:
            if sys.stdout is not None:  # as it is for a process that was started without one
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in {*_FULL, errno.EPIPE}:
            raise
        _give_up()
        if error.errno in _FULL and not ended:  # else the command has said already why it failed
            where = "make room where its output and its files go"
            typer.echo(f"headway: what it says cannot be written ({error.strerror}): {where}", err=True)
        raise SystemExit(ended or EXIT_FAILED) from None


def _give_up() -> None:
    """Send what is still held back nowhere: Python would try it again at its end, and exit with 120 over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
