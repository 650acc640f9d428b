"""What must be true of a package before it is published: a manifest in shape, and its files, whole.

Checks hashes, sizes, chunk hashes and shape only; whether the model is any good was measured where it was
made and is measured again where it runs. The package's digest is the sha256 of the manifest's bytes as
they came.
"""

import hashlib
from collections.abc import Iterable, Mapping

from fleet_manager.artifacts import ArtifactStore
from fleet_manager.domain import Model
from fleet_manager.errors import RefusedError, TooLargeError
from schemas.documents import MAX_MANIFEST_BYTES, ModelManifest, PackageRef, parse_document
from schemas.errors import MalformedMessage
from schemas.topics import CHUNK_BYTES

MAX_FILES = 16


def read_manifest(manifest_bytes: bytes) -> ModelManifest:
    """The manifest in ``manifest_bytes``.

    Raises:
        TooLargeError: above the limit.
        RefusedError: not a manifest, or one that contradicts itself.
    """
    if len(manifest_bytes) > MAX_MANIFEST_BYTES:
        raise TooLargeError(
            f"the manifest has {len(manifest_bytes)} bytes, allowed are {MAX_MANIFEST_BYTES}",
            fix="keep records out of the manifest that nobody reads",
        )
    try:
        manifest = parse_document(ModelManifest, manifest_bytes, max_bytes=MAX_MANIFEST_BYTES)
    except MalformedMessage as error:
        raise RefusedError(
            f"the manifest is not in shape: {error.detail}", fix="build the package again with headway model"
        ) from error
    for broken in _contradictions(manifest):
        raise RefusedError(f"the manifest contradicts itself: {broken}", fix="build the package again")
    return manifest


def _contradictions(manifest: ModelManifest) -> Iterable[str]:
    roles = [file.role for file in manifest.files]
    if roles.count("model") != 1:
        yield f"{roles.count('model')} files have the role model, it takes exactly one"
    if len(roles) > MAX_FILES:
        yield f"{len(roles)} files, allowed are {MAX_FILES}"
    if len({file.sha256 for file in manifest.files}) != len(manifest.files):
        yield "two files have the same digest"
    for file in manifest.files:
        chunks = -(-file.bytes // CHUNK_BYTES)
        if file.chunk_bytes != CHUNK_BYTES:
            yield f"file {file.name} has chunks of {file.chunk_bytes} bytes, the wire carries {CHUNK_BYTES}"
        elif len(file.chunk_sha256) != chunks:
            yield f"file {file.name} lists {len(file.chunk_sha256)} chunk hashes, it has {chunks} chunks"


def take_in(
    manifest_bytes: bytes,
    files: Mapping[str, Iterable[bytes]],
    *,
    artifacts: ArtifactStore,
    now_ms: int,
) -> Model:
    """Check a whole package and store its blobs; ``files`` maps each file's sha256 to its bytes in parts.

    Raises:
        RefusedError: a file is missing, unlisted, damaged, or its chunks are not those of the manifest.
        TooLargeError: something is above its limit.
    """
    manifest = read_manifest(manifest_bytes)
    listed = {file.sha256: file for file in manifest.files}
    if unlisted := sorted(set(files) - set(listed)):
        raise RefusedError(
            f"part {unlisted[0][:80]!r} is in no file list", fix="send one part per file, named by its sha256"
        )
    for digest, file in listed.items():
        if digest in files:
            artifacts.add(digest, files[digest], expected_bytes=file.bytes)
        elif not artifacts.has(digest) or artifacts.size(digest) != file.bytes:
            raise RefusedError(f"file {file.name} is missing", fix=f"send it as the part {digest}")
        if artifacts.chunk_digests(digest, chunk_bytes=CHUNK_BYTES) != file.chunk_sha256:
            raise RefusedError(
                f"the chunk hashes of {file.name} are not those of its bytes", fix="build the package again"
            )
    package_digest = hashlib.sha256(manifest_bytes).hexdigest()
    artifacts.add(package_digest, [manifest_bytes])
    return Model(
        ref=PackageRef(
            digest=package_digest,
            manifest_bytes=len(manifest_bytes),
            name=manifest.name,
            version=manifest.version,
            model_digest=manifest.model_digest,
        ),
        manifest=manifest,
        published_ms=now_ms,
    )
