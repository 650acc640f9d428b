"""Blobs on disk and packages that are taken in or refused."""

import hashlib
import json

import pytest
from fleet_scene import MODEL_BYTES, make_package

from fleet_manager.artifacts import ArtifactStore
from fleet_manager.errors import NotFoundError, RefusedError, TooLargeError
from fleet_manager.publication import MAX_MANIFEST_BYTES, read_manifest, take_in
from schemas.topics import CHUNK_BYTES

DATA = b"blob" * 50_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def artifacts(tmp_path):
    return ArtifactStore(tmp_path, max_blob_bytes=1_000_000)


def left_behind(artifacts, tmp_path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_blob_comes_back_chunk_by_chunk(artifacts):
    assert artifacts.add(DIGEST, [DATA[:7], DATA[7:]]) == len(DATA)
    assert artifacts.add(DIGEST, [DATA]) == len(DATA)
    chunks = [artifacts.chunk(DIGEST, n, chunk_bytes=CHUNK_BYTES) for n in range(4)]
    assert b"".join(chunks) == DATA
    with pytest.raises(NotFoundError):
        artifacts.chunk(DIGEST, 4, chunk_bytes=CHUNK_BYTES)


@pytest.mark.parametrize(
    ("digest", "parts", "error"),
    [
        ("0" * 64, [DATA], RefusedError),
        (DIGEST, [DATA[:-1]], RefusedError),
        (DIGEST, [DATA, b"x" * 1_000_000], TooLargeError),
        ("../../etc/passwd", [DATA], RefusedError),
        (DIGEST.upper(), [DATA], RefusedError),
        (DIGEST + "/x", [DATA], RefusedError),
    ],
    ids=["wrong hash", "truncated", "oversize", "traversal", "upper case", "longer"],
)
def test_a_damaged_or_ill_named_blob_leaves_nothing_behind(artifacts, tmp_path, digest, parts, error):
    with pytest.raises(error):
        artifacts.add(digest, parts)
    assert left_behind(artifacts, tmp_path) == []


def test_a_blob_of_another_size_than_announced_is_refused(artifacts, tmp_path):
    with pytest.raises(RefusedError, match="announced"):
        artifacts.add(DIGEST, [DATA], expected_bytes=len(DATA) + 1)
    assert left_behind(artifacts, tmp_path) == []


def test_what_a_dead_upload_left_is_swept_at_the_next_start(tmp_path):
    ArtifactStore(tmp_path)
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    ArtifactStore(tmp_path)
    assert not (tmp_path / "incoming" / "half").exists()


def test_what_is_not_here_is_not_found(artifacts):
    assert not artifacts.has(DIGEST)
    for ask in (artifacts.size, lambda d: artifacts.chunk(d, 0, chunk_bytes=10)):
        with pytest.raises(NotFoundError):
            ask(DIGEST)
    with pytest.raises(NotFoundError):
        artifacts.chunk_digests(DIGEST, chunk_bytes=10)


def bring(artifacts, manifest, files):
    parts = {digest: [data] for digest, data in files.items()}
    return take_in(manifest, parts, artifacts=artifacts, now_ms=1)


def test_a_package_is_taken_in_under_the_digest_of_its_manifests_bytes(artifacts):
    manifest, files = make_package()
    model = bring(artifacts, manifest, files)
    assert model.ref.digest == hashlib.sha256(manifest).hexdigest()
    assert artifacts.chunk(model.ref.digest, 0, chunk_bytes=CHUNK_BYTES) == manifest
    assert artifacts.has(model.ref.model_digest)


def test_a_file_that_is_stored_already_need_not_be_sent_again(artifacts):
    manifest, files = make_package()
    bring(artifacts, manifest, files)
    again, _ = make_package(version="2")
    assert bring(artifacts, again, {}).ref.version == "2"


def edited(change):
    manifest, files = make_package()
    document = json.loads(manifest)
    change(document)
    return json.dumps(document).encode(), files


BROKEN = {
    "not json": lambda: (b"{", {}),
    "no model": lambda: edited(lambda d: d.update(files=[])),
    "two models": lambda: edited(lambda d: d["files"].append({**d["files"][0], "sha256": "0" * 64})),
    "same file twice": lambda: edited(lambda d: d["files"].append({**d["files"][0], "role": "golden"})),
    "other chunks": lambda: edited(lambda d: d["files"][0].update(chunk_bytes=2048)),
    "chunk missing": lambda: edited(lambda d: d["files"][0]["chunk_sha256"].pop()),
    "chunk hash": lambda: edited(lambda d: d["files"][0]["chunk_sha256"].__setitem__(0, "0" * 64)),
    "traversal": lambda: edited(lambda d: d["files"][0].update(name="../../x")),
    "other size": lambda: edited(lambda d: d["files"][0].update(bytes=len(MODEL_BYTES) - 1)),
    "file missing": lambda: (make_package()[0], {}),
    "file damaged": lambda: (make_package()[0], {k: v[:-1] + b"x" for k, v in make_package()[1].items()}),
    "part too many": lambda: (make_package()[0], {**make_package()[1], DIGEST: DATA}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_package_is_refused(artifacts, broken):
    manifest, files = BROKEN[broken]()
    with pytest.raises(RefusedError) as refused:
        bring(artifacts, manifest, files)
    assert refused.value.fix
    assert not artifacts.has(hashlib.sha256(manifest).hexdigest())


def test_a_manifest_above_the_limit_is_refused():
    with pytest.raises(TooLargeError):
        read_manifest(b" " * (MAX_MANIFEST_BYTES + 1))
