"""Shell: brings a package into the store over the control road, manifest first, then its files.

Blocks its own thread (the updater's), never the frame loop's: chunks come in through ``next_chunk``. What an
interrupted attempt left is hashed and kept. Everything has a limit: bytes, bad copies, time.
"""

import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_node.errors import UpdateError
from edge_node.model_store import MANIFEST_NAME, ModelStore
from edge_node.transfer import Arrival, Transfer
from schemas.documents import (
    MAX_MANIFEST_BYTES,
    ChunkRequest,
    ModelFile,
    ModelManifest,
    PackageRef,
    parse_document,
)
from schemas.errors import MalformedMessage
from schemas.states import FailureReason
from schemas.topics import CHUNK_BYTES

MAX_PACKAGE_BYTES = 256 * 1024 * 1024
DEADLINE_NS = 45_000_000_000
POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk as it came in."""

    digest: str
    n: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPorts:
    """The fetcher's way out and in.

    ``next_chunk(timeout_s)`` waits for a chunk, None when none came; it may raise to end the attempt.
    ``progress(done, total)`` is told the bytes that are here.
    """

    ask: Callable[[ChunkRequest], bool]
    next_chunk: Callable[[float], Chunk | None]
    progress: Callable[[int, int], None]
    clock_ns: Callable[[], int]


class Fetcher:
    """Fetches one package."""

    def __init__(
        self, store: ModelStore, *, ports: FetchPorts, task: str, runtime: str, deadline_ns: int = DEADLINE_NS
    ) -> None:
        self._store = store
        self._ports = ports
        self._task = task
        self._runtime = runtime
        self._within_ns = deadline_ns
        self._deadline_ns = 0
        self._done = 0
        self._total = 0

    def fetch(self, ref: PackageRef) -> Path:
        """The folder of the complete package.

        Raises:
            UpdateError: damaged too often, not acceptable, no room, or not here in time.
        """
        if self._store.has(ref.digest):
            return self._store.path(ref.digest)
        self._deadline_ns = self._ports.clock_ns() + self._within_ns
        folder = self._store.staging(ref.digest)
        try:
            manifest = self._manifest(ref, folder)
            self._total = sum(file.bytes for file in manifest.files)
            for file in manifest.files:
                if not (folder / file.name).exists():
                    self._store.reuse(file, folder / file.name)
                self._file(file, folder)
            return self._store.settle(ref.digest)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            reason = FailureReason.DISK_FULL if full else FailureReason.INTERNAL
            raise UpdateError(reason, f"{error.strerror}: {error.filename}") from error

    def _manifest(self, ref: PackageRef, folder: Path) -> ModelManifest:
        path = folder / MANIFEST_NAME
        transfer = Transfer(digest=ref.digest, size_bytes=ref.manifest_bytes, chunk_bytes=CHUNK_BYTES)
        self._run(transfer, path, what="the manifest")
        try:
            manifest = parse_document(ModelManifest, path.read_bytes(), max_bytes=MAX_MANIFEST_BYTES)
        except MalformedMessage as error:
            raise UpdateError(FailureReason.BAD_MANIFEST, str(error)) from error
        check_manifest(manifest, ref, task=self._task, runtime=self._runtime)
        return manifest

    def _file(self, file: ModelFile, folder: Path) -> None:
        transfer = Transfer(
            digest=file.sha256,
            size_bytes=file.bytes,
            chunk_bytes=file.chunk_bytes,
            chunk_sha256=file.chunk_sha256,
        )
        self._run(transfer, folder / file.name, what=file.name)

    def _run(self, transfer: Transfer, path: Path, *, what: str) -> None:
        """Complete one file on disk and check the whole of it."""
        path.touch()
        with path.open("r+b") as file:
            file.truncate(transfer.size_bytes)
            for n in sorted(transfer.missing) if transfer.chunk_sha256 else ():
                first, length = transfer.span(n)
                file.seek(first)
                if transfer.take(n, file.read(length)) is Arrival.KEPT:
                    self._count(length)
            transfer.bad_copies.clear()  # a gap in an unfinished file is no damaged copy
            while True:
                self._complete(transfer, file_write=_writer(file), what=what)
                file.flush()
                if hashlib.sha256(path.read_bytes()).hexdigest() == transfer.digest:
                    return
                transfer.distrust()

    def _complete(self, transfer: Transfer, *, file_write: Callable[[int, bytes], None], what: str) -> None:
        ports = self._ports
        while not transfer.is_complete:
            if transfer.is_hopeless:
                worst = max(transfer.bad_copies, key=lambda n: transfer.bad_copies[n])
                raise UpdateError(
                    FailureReason.DIGEST_MISMATCH,
                    f"chunk {worst} of {what} came damaged {transfer.bad_copies[worst]} times",
                )
            now_ns = ports.clock_ns()
            if now_ns >= self._deadline_ns:
                raise UpdateError(
                    FailureReason.FETCH_TIMED_OUT, f"{len(transfer.missing)} chunks of {what} did not come"
                )
            request = transfer.request(now_ns=now_ns)
            if request is not None:
                ports.ask(request)
            chunk = ports.next_chunk(POLL_S)
            if chunk is None or chunk.digest != transfer.digest:
                continue
            if transfer.take(chunk.n, chunk.data) is Arrival.KEPT:
                file_write(transfer.span(chunk.n)[0], chunk.data)
                self._count(len(chunk.data))

    def _count(self, size_bytes: int) -> None:
        self._done += size_bytes
        self._ports.progress(min(self._done, self._total), self._total)


def _writer(file: BinaryIO) -> Callable[[int, bytes], None]:
    def write(first: int, data: bytes) -> None:
        file.seek(first)
        file.write(data)

    return write


def check_manifest(manifest: ModelManifest, ref: PackageRef, *, task: str, runtime: str) -> None:
    """Refuse a package that this headset cannot use, before its files are fetched.

    Raises:
        UpdateError: with the reason.
    """
    names = [file.name for file in manifest.files]
    total_bytes = sum(file.bytes for file in manifest.files)
    refusals: tuple[tuple[bool, FailureReason, str], ...] = (
        (manifest.task != task, FailureReason.UNSUPPORTED, f"task {manifest.task} is not done here"),
        (
            runtime not in manifest.runtimes,
            FailureReason.UNSUPPORTED,
            f"it runs on {', '.join(manifest.runtimes) or 'nothing'}, here is {runtime}",
        ),
        (total_bytes > MAX_PACKAGE_BYTES, FailureReason.TOO_LARGE, f"it has {total_bytes} bytes"),
        (
            len(set(names)) != len(names) or MANIFEST_NAME in names,
            FailureReason.BAD_MANIFEST,
            "file names clash",
        ),
        (
            manifest.file("model") is None or manifest.model_digest != ref.model_digest,
            FailureReason.BAD_MANIFEST,
            "it does not hold the model that was announced",
        ),
        (
            any(len(file.chunk_sha256) != -(-file.bytes // file.chunk_bytes) for file in manifest.files)
            or any(file.chunk_bytes != CHUNK_BYTES for file in manifest.files),
            FailureReason.BAD_MANIFEST,
            "its chunk list does not fit its files",
        ),
    )
    for refuse, reason, detail in refusals:
        if refuse:
            raise UpdateError(reason, detail)
