"""Shell of the blob store: immutable bytes on disk under their sha256.

A blob appears under its name only after every byte was hashed, flushed and renamed, so a reader never
sees half of one. Names come from digests alone, never from what a client calls a file. Nothing here knows
what a manifest means.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from fleet_manager.errors import NotFoundError, RefusedError, TooLargeError

MAX_BLOB_BYTES = 512 * 1024 * 1024
READ_BYTES = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ArtifactStore:
    """Blobs below one folder."""

    def __init__(self, root: Path, *, max_blob_bytes: int = MAX_BLOB_BYTES) -> None:
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        self._max_blob_bytes = max_blob_bytes
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():  # of a process that died in the middle of an upload
            leftover.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self._path(digest).is_file()

    def size(self, digest: str) -> int:
        """Bytes of a blob.

        Raises:
            NotFoundError: it is not here.
        """
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise _absent(digest) from None

    def add(self, digest: str, parts: Iterable[bytes], *, expected_bytes: int | None = None) -> int:
        """Take a blob in, part by part, and return its size. One that is here already is only checked.

        Raises:
            TooLargeError: more bytes than allowed.
            RefusedError: the bytes are not those of ``digest``, or not ``expected_bytes`` many.
        """
        final = self._path(digest)
        draft = self._incoming / f"{digest}.{secrets.token_hex(8)}"
        try:
            seen_bytes, seen_digest = self._write(draft, parts)
            if expected_bytes is not None and seen_bytes != expected_bytes:
                raise RefusedError(
                    f"blob {digest[:12]}… has {seen_bytes} bytes where {expected_bytes} were announced",
                    fix="build the package again and publish the whole of it",
                )
            if seen_digest != digest:
                raise RefusedError(
                    f"blob {digest[:12]}… hashes to {seen_digest[:12]}…",
                    fix="the upload was damaged or the package was edited: publish it again",
                )
            if not final.exists():
                final.parent.mkdir(exist_ok=True)
                draft.replace(final)
                _flush_folder(final.parent)
        finally:
            draft.unlink(missing_ok=True)
        return seen_bytes

    def chunk(self, digest: str, n: int, *, chunk_bytes: int) -> bytes:
        """Chunk ``n`` of a blob.

        Raises:
            NotFoundError: no such blob, or it has no chunk ``n``.
        """
        try:
            with self._path(digest).open("rb") as blob:
                blob.seek(n * chunk_bytes)
                data = blob.read(chunk_bytes)
        except FileNotFoundError:
            raise _absent(digest) from None
        if not data:
            raise NotFoundError(f"blob {digest[:12]}… has no chunk {n}", fix="read its manifest again")
        return data

    def chunk_digests(self, digest: str, *, chunk_bytes: int) -> tuple[str, ...]:
        """The sha256 of every chunk of a blob.

        Raises:
            NotFoundError: it is not here.
        """
        try:
            with self._path(digest).open("rb") as blob:
                return tuple(
                    hashlib.sha256(part).hexdigest() for part in iter(lambda: blob.read(chunk_bytes), b"")
                )
        except FileNotFoundError:
            raise _absent(digest) from None

    def _write(self, draft: Path, parts: Iterable[bytes]) -> tuple[int, str]:
        seen_bytes, hasher = 0, hashlib.sha256()
        with draft.open("xb") as out:
            for part in parts:
                seen_bytes += len(part)
                if seen_bytes > self._max_blob_bytes:
                    raise TooLargeError(
                        f"a blob may have {self._max_blob_bytes} bytes",
                        fix="publish a smaller model, or start the manager with a larger limit",
                    )
                hasher.update(part)
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
        return seen_bytes, hasher.hexdigest()

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise RefusedError(f"{digest[:80]!r} is not a sha256", fix="give 64 lower-case hex digits")
        return self._blobs / digest[:2] / digest


def _absent(digest: str) -> NotFoundError:
    return NotFoundError(f"no blob {digest[:12]}… is stored here", fix="publish its package first")


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
