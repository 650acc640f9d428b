"""Shell: reads a source from a file that only its owner reads, and says addresses without their login.

A camera's address may hold its password: on a command line every process of the machine would see it. What is
shown or logged of an address must go through ``without_login``.
"""

import os
import re
import stat
from pathlib import Path

from edge_node.errors import SettingsError

MAX_BYTES = 4096
_READABLE_BY_OTHERS = 0o077
_LOGIN = re.compile(r"(?<=://)[^/\s'\"]*@")  # to the last @ before the path: a password may hold one


def without_login(text: str) -> str:
    """The text with the user part of every address in it taken out."""
    return _LOGIN.sub("", text)


def read_source(path: Path) -> str:
    """The first and only line of a source file.

    Raises:
        SettingsError: not a regular file, others may read it, or it holds no one line of text.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would be waited for for ever
    except OSError as error:
        raise SettingsError(
            f"the source file {path} cannot be read ({error.strerror}): write the source there, "
            f"then `chmod 600 {path}`"
        ) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SettingsError(
                f"the source file {path} is not a regular file: name one that holds the source"
            )
        if mode & _READABLE_BY_OTHERS:
            raise SettingsError(
                f"others may read the source file {path} (mode {stat.S_IMODE(mode):o}): `chmod 600 {path}`"
            )
        content = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    source = content.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if not source or not source.isprintable() or len(content) > MAX_BYTES:
        raise SettingsError(
            f"the source file {path} must hold one line of text, such as rtsp://user:word@host/"
        )
    return source
