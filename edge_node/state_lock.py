"""Shell: one process per state folder. The lock goes with the process, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_node.errors import StoreError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a state folder, made where it is missing.

    Raises:
        StoreError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w", encoding="ascii")
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}; name another --state") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"{folder} belongs to a headset that runs: stop it, or give this one its own --state"
            ) from error
        yield
