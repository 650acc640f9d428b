"""Shell of model packages: a folder named by its content, checked before anything in it is used.

``<digest>/manifest.json`` is canonical JSON; the digest is the sha256 of its bytes. It lists every file with
its sha256 and the sha256 of every chunk. A package appears under its name only when complete, and opening
one reads and hashes every byte: what opens is what was published. Nothing here runs a model.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.errors import ModelPackageError
from inference.gate.output_rules import Record
from inference.packages.golden import Golden, record_golden, write_golden
from inference.runtimes.base import Array, Runtime
from schemas.documents import (
    MAX_MANIFEST_BYTES,
    GoldenOutput,
    ModelFile,
    ModelManifest,
    canonical_bytes,
    parse_document,
)
from schemas.errors import MalformedMessage

MANIFEST_NAME = "manifest.json"
GOLDEN_NAME = "golden.npz"
CHUNK_BYTES = 61_440
MIN_CANARIES = 3

TaskName = Literal["hands", "detect", "text", "speech"]
Quantisation = Literal["float", "float16", "int8", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package whose every byte was checked when it was opened or built."""

    directory: Path
    digest: str
    manifest: ModelManifest

    @property
    def manifest_path(self) -> Path:
        """The manifest's bytes; their sha256 is ``digest``."""
        return self.directory / MANIFEST_NAME

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.directory / self._file("model").name

    @property
    def golden_path(self) -> Path:
        """Canary inputs and the outputs expected of them."""
        return self.directory / self._file("golden").name

    def _file(self, role: str) -> ModelFile:
        file = self.manifest.file(role)
        if file is None:
            msg = f"package {self.digest[:12]} has no file of role {role}: build it again"
            raise ModelPackageError(msg)
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What a package says about its model beside the files.

    ``tolerances``: per output, the mean absolute difference another engine may show on the canaries.
    ``runtimes``: engines that may run it. ``agreement`` and ``calibration``: records of a quantisation.
    """

    name: str
    version: str
    task: TaskName
    quantisation: Quantisation
    tolerances: Sequence[float]
    runtimes: tuple[str, ...] = ("litert", "tflite")
    agreement: Mapping[str, Record] | None = None
    calibration: Record | None = None
    source: str = ""
    licence: str = ""


def build_package(
    model: Path,
    *,
    facts: PackageFacts,
    golden_inputs: Sequence[Sequence[Array]],
    runtime: Runtime,
    out: Path,
) -> Package:
    """Pack a model with golden vectors answered by ``runtime`` into ``out/<digest>``.

    ``golden_inputs``: at least three canaries, each one array per input. The same content built twice is one
    package.

    Raises:
        ModelPackageError: too few canaries, tolerances do not match the outputs, or a field breaks the contract.
        InferenceError: the model does not load or run.
    """
    if len(golden_inputs) < MIN_CANARIES:
        msg = f"{len(golden_inputs)} canary inputs, at least {MIN_CANARIES} are needed: pass more real inputs"
        raise ModelPackageError(msg)
    golden = record_golden(model, golden_inputs, runtime=runtime)
    if len(facts.tolerances) != len(golden.output_names):
        msg = (
            f"{len(facts.tolerances)} tolerances for {len(golden.output_names)} outputs: pass one per output"
        )
        raise ModelPackageError(msg)
    out.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=out))
    try:
        shutil.copyfile(model, draft / model.name)
        write_golden(golden, draft / GOLDEN_NAME)
        manifest = _manifest(draft, model.name, golden=golden, facts=facts)
        content = canonical_bytes(manifest)
        if len(content) > MAX_MANIFEST_BYTES:
            msg = f"the manifest has {len(content)} bytes, allowed are {MAX_MANIFEST_BYTES}: use a smaller model"
            raise ModelPackageError(msg)
        (draft / MANIFEST_NAME).write_bytes(content)
        return _settle(draft, out / hashlib.sha256(content).hexdigest())
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # already moved away when the package was built


def open_package(directory: Path, /) -> Package:
    """Open a package and check every byte of it.

    Raises:
        ModelPackageError: incomplete, altered, or its folder bears another package's digest; says which file.
    """
    try:
        content = (directory / MANIFEST_NAME).read_bytes()
    except OSError as error:
        msg = f"{directory} holds no model package ({MANIFEST_NAME}: {error.strerror}): pass a package folder"
        raise ModelPackageError(msg) from error
    digest = hashlib.sha256(content).hexdigest()
    if _is_digest(directory.name) and directory.name != digest:
        msg = f"the manifest of {directory.name[:12]} hashes to {digest[:12]}: it was altered, fetch it again"
        raise ModelPackageError(msg)
    try:
        manifest = parse_document(ModelManifest, content, max_bytes=MAX_MANIFEST_BYTES)
    except MalformedMessage as error:
        msg = f"the manifest of {directory} is malformed ({error}): build or fetch the package again"
        raise ModelPackageError(msg) from error
    package = Package(directory=directory, digest=digest, manifest=manifest)
    for file in manifest.files:
        _check_file(directory / file.name, file)
    model = manifest.file("model")
    if model is None or model.sha256 != manifest.model_digest:
        msg = f"package {digest[:12]} does not say which file its model is: build it again"
        raise ModelPackageError(msg)
    return package


def list_packages(root: Path, /, *, tell: Callable[[str], None]) -> list[Package]:
    """All whole packages below a folder, by name and version; unfinished drafts are not packages.

    ``tell`` hears in words of each damaged one, which hides none of the others.
    """
    if not root.is_dir():
        return []
    found = []
    for path in sorted(root.iterdir()):
        if _is_digest(path.name) and path.is_dir():
            try:
                found.append(open_package(path))
            except ModelPackageError as error:
                tell(f"left out package {path.name[:12]}: {error}")
    return sorted(
        found, key=lambda package: (package.manifest.name, package.manifest.version, package.digest)
    )


def _manifest(draft: Path, model_name: str, *, golden: Golden, facts: PackageFacts) -> ModelManifest:
    model = describe_file(draft / model_name, role="model")
    try:
        return ModelManifest(
            name=facts.name,
            version=facts.version,
            task=facts.task,
            runtimes=facts.runtimes,
            quantisation=facts.quantisation,
            model_digest=model.sha256,
            files=(model, describe_file(draft / GOLDEN_NAME, role="golden")),
            golden=tuple(
                GoldenOutput(name=name, tolerance=tolerance)
                for name, tolerance in zip(golden.output_names, facts.tolerances, strict=True)
            ),
            agreement={name: dict(record) for name, record in (facts.agreement or {}).items()},
            calibration=dict(facts.calibration or {}),
            source=facts.source,
            licence=facts.licence,
        )
    except ValueError as error:
        msg = f"the manifest would break its contract: {error}; correct the name, version or file name"
        raise ModelPackageError(msg) from error


def describe_file(path: Path, *, role: Literal["model", "golden"]) -> ModelFile:
    """Give the manifest's entry for a file: its name, size and the hashes of the whole and of every chunk."""
    content = path.read_bytes()
    return ModelFile(
        role=role,
        name=path.name,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        chunk_bytes=CHUNK_BYTES,
        chunk_sha256=_chunk_digests(content, CHUNK_BYTES),
    )


def _chunk_digests(content: bytes, chunk_bytes: int) -> tuple[str, ...]:
    starts = range(0, len(content), chunk_bytes)
    return tuple(hashlib.sha256(content[start : start + chunk_bytes]).hexdigest() for start in starts)


def _check_file(path: Path, file: ModelFile) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{file.name} is missing from the package ({error.strerror}): fetch it again"
        raise ModelPackageError(msg) from error
    if len(content) != file.bytes:
        msg = f"{file.name} has {len(content)} bytes, the manifest says {file.bytes}: fetch it again"
        raise ModelPackageError(msg)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        msg = f"{file.name} hashes to {found[:12]}, the manifest says {file.sha256[:12]}: fetch it again"
        raise ModelPackageError(msg)
    if _chunk_digests(content, file.chunk_bytes) != file.chunk_sha256:
        msg = f"the chunk digests of {file.name} do not belong to it: build the package again"
        raise ModelPackageError(msg)


def _settle(draft: Path, final: Path) -> Package:
    """Move a finished draft to its name; a package that is there already is checked and kept."""
    if final.exists():
        return open_package(final)
    draft.chmod(0o755)
    try:
        draft.replace(final)
    except OSError:
        # Another process built the same package in the meantime: a full folder is never replaced.
        if not final.exists():
            raise
    return open_package(final)


def _is_digest(name: str) -> bool:
    return len(name) == hashlib.sha256().digest_size * 2 and all(c in "0123456789abcdef" for c in name)
