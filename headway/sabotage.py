"""Core and shell: the bad packages of the demo, and why each must be refused.

A package whose files match its manifest is not therefore good. These are built without the gate that
``headway model publish`` runs, as a publisher with a broken tool, or with bad intent, would.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.packages.package import MANIFEST_NAME, Package, describe_file, open_package
from inference.tflite.graph import read_graph
from inference.tflite.write import pack
from schemas.documents import canonical_bytes
from schemas.states import FailureReason

SMALLEST_WEIGHTS_BYTES = 256  # smaller constants are shapes and scales: zeroing those would break the file
CHUNK_MARK_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRollout:
    """One rollout that must fail. ``mark``: bytes whose passing on the link is followed by a damaged byte."""

    title: str
    package: Package
    reason: FailureReason
    mark: bytes = b""


def bad_rollouts(*, sound: Package, other: Package, out: Path) -> tuple[BadRollout, ...]:
    """The three bad rollouts.

    Args:
        sound: the package that headsets run; two are made from it.
        other: a sound package that no headset has yet; it is damaged on its way.
        out: folder for the packages.
    """
    model = other.model_path.read_bytes()
    middle = len(model) // 2
    return (
        BadRollout(
            title="one byte flipped on the way",
            package=other,
            reason=FailureReason.DIGEST_MISMATCH,
            mark=model[middle : middle + CHUNK_MARK_BYTES],
        ),
        BadRollout(
            title="weights set to zero",
            package=_with_model(sound, zeroed(sound.model_path), version="2-zeroed", out=out),
            reason=FailureReason.GOLDEN_MISMATCH,
        ),
        BadRollout(
            title="a file that does not load",
            package=_with_model(sound, _torn(sound.model_path), version="2-torn", out=out),
            reason=FailureReason.UNLOADABLE,
        ),
    )


def zeroed(model: Path) -> bytes:
    """The same model with every weight zero: it loads, it runs, it knows nothing."""
    document = read_graph(model).unpack()
    for buffer in document.buffers:
        if buffer.data is not None and len(buffer.data) >= SMALLEST_WEIGHTS_BYTES:
            buffer.data = np.zeros_like(buffer.data)
    return pack(document)


def _torn(model: Path) -> bytes:
    """The second half of a file: the right kind of bytes, no beginning."""
    content = model.read_bytes()
    return content[len(content) // 2 :]


def _with_model(base: Package, content: bytes, *, version: str, out: Path) -> Package:
    """The base package with another model in the place of its own; its golden vectors stay."""
    out.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=out))
    name = base.model_path.name
    (draft / name).write_bytes(content)
    shutil.copyfile(base.golden_path, draft / base.golden_path.name)
    model = describe_file(draft / name, role="model")
    kept = tuple(file for file in base.manifest.files if file.role != "model")
    manifest = base.manifest.model_copy(
        update={"version": version, "files": (model, *kept), "model_digest": model.sha256}
    )
    (draft / MANIFEST_NAME).write_bytes(canonical_bytes(manifest))
    return open_package(draft)
