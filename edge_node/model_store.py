"""Shell: the node's packages, named by their content, and the pointer that says which release is active.

``packages/<digest>`` is complete or absent: files are staged beside it and the folder is renamed when
every file is there and synced. The pointer is one journalled document. Nothing here runs a model.
"""

import os
import shutil
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_node.journal import Journal, sync_folder
from edge_node.update import Release
from schemas.documents import ModelFile, ModelManifest

_log = structlog.get_logger("edge_node.model_store")

MANIFEST_NAME = "manifest.json"


class Pointer(BaseModel):
    """The active and the previous release; the models a headset is delivered with need no entry."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    active: Release = Release()
    previous: Release = Release()


class ModelStore:
    """Packages and the pointer under one folder."""

    def __init__(self, root: Path) -> None:
        self._packages = root / "packages"
        self._staging = root / "staging"
        for folder in (self._packages, self._staging):
            folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(root / "pointer.json", Pointer)
        self.pointer = self._journal.read() or Pointer()

    def path(self, digest: str) -> Path:
        """Where a complete package is or would be."""
        return self._packages / digest

    def has(self, digest: str) -> bool:
        """Whether a package is complete here."""
        return (self.path(digest) / MANIFEST_NAME).is_file()

    def staging(self, digest: str) -> Path:
        """The folder in which a package is put together; what an earlier attempt left is still there."""
        folder = self._staging / digest
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def reuse(self, file: ModelFile, into: Path) -> bool:
        """Take a file from a package that has the same one; the caller hashes it like any other."""
        for package in self._packages.iterdir():
            try:
                manifest = ModelManifest.model_validate_json((package / MANIFEST_NAME).read_bytes())
            except (OSError, ValidationError) as error:
                _log.warning("a package cannot be reused", package=package.name[:12], error=str(error))
                continue
            for other in manifest.files:
                if other.sha256 == file.sha256 and (package / other.name).is_file():
                    shutil.copyfile(package / other.name, into)
                    return True
        return False

    def settle(self, digest: str) -> Path:
        """A staged package is complete: sync it and give it its name."""
        staged, final = self._staging / digest, self.path(digest)
        for path in staged.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(staged)
        if final.exists():
            shutil.rmtree(final)  # a package without manifest: its files are in the new one
        staged.replace(final)
        sync_folder(self._packages)
        return final

    def activate(self, release: Release) -> None:
        """Point at another release; the one that was active becomes the previous one. Idempotent."""
        if release != self.pointer.active:
            self._point(Pointer(active=release, previous=self.pointer.active))

    def restore(self, release: Release) -> None:
        """Point back at a release that ran before. Idempotent."""
        if release != self.pointer.active:
            self._point(Pointer(active=release, previous=release))

    def prune(self) -> None:
        """Remove every package, complete or not, that is neither active nor previous."""
        for folder in (*self._packages.iterdir(), *self._staging.iterdir()):
            if folder.name not in self._kept():
                shutil.rmtree(folder)

    def _kept(self) -> set[str]:
        releases = (self.pointer.active, self.pointer.previous)
        return {release.package.digest for release in releases if release.package is not None}

    def _point(self, pointer: Pointer) -> None:
        self._journal.write(pointer)
        self.pointer = pointer
