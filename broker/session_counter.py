"""The number of a session: persisted, one more for every CONNECT.

Shell: owns one small file. A number never comes back, or an old will could pass
for a new one. Where the file is lost or damaged the count goes on from the
seconds since 1970, which no counter of single connects has reached.
"""

from __future__ import annotations

import os
from pathlib import Path

from observability import log

_log = log.get("broker.session_counter")


class SessionCounter:
    """Hands out session numbers; without a path they only rise within this process."""

    def __init__(self, path: Path | None, *, wall_s: int) -> None:
        self._path = path
        self._fallback = wall_s
        self._last: int | None = None

    def next(self) -> int:
        """Return the next number, already on disk. Raises OSError when it cannot be kept."""
        number = max(self._stored(), self._last or 0) + 1
        if self._path is not None:
            self._store(self._path, number)
        self._last = number
        return number

    def _stored(self) -> int:
        if self._path is None:
            return self._fallback
        try:
            return int(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return self._fallback
        except ValueError:
            _log.warning("the session counter is damaged, going on from the clock", path=str(self._path))
            return self._fallback

    @staticmethod
    def _store(path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with part.open("w", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
