"""Shell: one small document that survives a crash: written whole under another name, synced, then renamed."""

import contextlib
import os
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from edge_node.errors import StoreError

_log = structlog.get_logger("edge_node.journal")
Kept = TypeVar("Kept", bound=BaseModel)


class Journal(Generic[Kept]):
    """The newest value of one document."""

    def __init__(self, path: Path, kind: type[Kept]) -> None:
        self._path = path
        self._kind = kind

    def read(self) -> Kept | None:
        """What was written last; None where nothing was, or where the file is damaged (it is kept aside)."""
        try:
            return self._kind.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            _log.warning("a journal is damaged and was set aside", path=str(aside), error=str(error))
            return None

    def write(self, value: Kept) -> None:
        """Keep a value; on disk when this returns.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            write_durably(self._path, value.model_dump_json().encode())
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}; free some disk space") from error


def write_durably(path: Path, content: bytes) -> None:
    """Put content under a name so that after a crash there is the old or the new, never a part. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system lets folders be synced."""
    with contextlib.suppress(PermissionError):  # some file systems refuse to open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
