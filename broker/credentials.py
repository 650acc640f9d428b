"""How a client logs in: a user name on the command line, a password in a file that only its owner reads.

Shell: reads one small file. Passwords never stand on a command line or in a variable, where every process
of the machine can see them, and never in an error's text.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from broker.errors import RoadMisuse

MAX_PASSWORD_BYTES = 1024
_READABLE_BY_OTHERS = 0o077


def read_password(path: Path) -> str:
    """Return the first and only line of a password file.

    Raises RoadMisuse when it is no regular file, when others may read it, or when it holds no one password.
    """
    try:
        # without O_NONBLOCK a named pipe would wait for its writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise RoadMisuse(
            f"the password file {path} cannot be read ({error.strerror}): write the password there, "
            f"then `chmod 600 {path}`"
        ) from error
    try:
        _check_rights(path, os.fstat(descriptor).st_mode)
        content = os.read(descriptor, MAX_PASSWORD_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_PASSWORD_BYTES:
        raise RoadMisuse(
            f"the password file {path} is longer than {MAX_PASSWORD_BYTES} bytes: is it the one?"
        )
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password.isprintable() or not password:
        raise RoadMisuse(
            f"the password file {path} must hold one line of text: the password and nothing else"
        )
    return password


def _check_rights(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise RoadMisuse(
            f"the password file {path} is not a regular file: name a file that holds the password"
        )
    if mode & _READABLE_BY_OTHERS:
        raise RoadMisuse(
            f"others may read the password file {path} (mode {stat.S_IMODE(mode):o}): `chmod 600 {path}`"
        )
