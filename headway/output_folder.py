"""Shell: the folder that a demo writes to: held by one demo at a time, and cleared of what an earlier one left."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.errors import DemoError

WORK, MARK = "work", ".made-by-headway-demo"
PICTURES = ("overlay.mp4", "overlay.jpg", "latency.png")


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the output folder; a second demo that writes to the same one is refused."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock_file = (out / ".lock").open("w")
    except OSError as error:
        raise DemoError(
            f"cannot write to {out} ({error.strerror}): pass --out with another folder"
        ) from error
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"another demo writes to {out}: wait for it, or pass --out with another folder"
            ) from error
        yield


def clear(out: Path) -> None:
    """Remove what an earlier demo left, and nothing that is not known to be its."""
    work = out / WORK
    if work.exists():
        if not (work / MARK).is_file():
            raise DemoError(f"{work} was not made by a demo: move it away, or pass --out with another folder")
        shutil.rmtree(work)
    work.mkdir()
    (work / MARK).write_text("headway demo erases this folder when it starts\n")
    if (out / "report.json").exists():  # only then are pictures of these names a demo's
        for name in PICTURES:
            (out / name).unlink(missing_ok=True)
