"""Shell: profiles as files beside the packages they speak of, never inside: a package's digest stays its own.

``profiles/<sha256 of the model>/<class>-<runtime>-<threads>.json`` in the cache; the class is the hardware's
fingerprint where nobody gave it a name. The document is the one that placement reads, with all that was
measured beside it. What must stay here: where profiles lie, and what a written one says.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inference.errors import ProfileError
from inference.profile.stored import Profile, read_profile
from schemas.places import cache_dir

_CLASS = re.compile(r"[a-z0-9][a-z0-9._]{0,31}")


class Estimate(BaseModel):
    """One quantile in ns with its 95 % interval, or the reason why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float
    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


class PartRecord(BaseModel):
    """What was measured of operators [start, end)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int
    end: int
    samples: int
    rss_bytes: int
    quantiles: tuple[Estimate, ...]


class SteadinessRecord(BaseModel):
    """How steady the machine was while it was profiled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference_ns: float
    max_drift: float
    blocks: int
    discarded: int
    late_frames: int
    seconds: float


class SparseRecord(BaseModel):
    """How many of the legal cuts were measured, and the leave-one-out error of those between, in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: tuple[int, ...]
    legal: int
    prefix_median_pct: float | None
    prefix_worst_pct: float | None
    suffix_median_pct: float | None
    suffix_worst_pct: float | None


class ProfileDocument(Profile):
    """A stored profile: what placement reads, and what a person wants to know of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["headway.profile/1"] = Field(default="headway.profile/1", alias="schema")
    model: str
    made_at: str
    cpu: str
    cores: int
    flags: tuple[str, ...]
    runtime: str
    runtime_version: str
    delegate: str
    threads: int
    fps: float
    jpeg_quality: int
    real_picture: bool
    parts: tuple[PartRecord, ...]
    steadiness: SteadinessRecord
    sparse: SparseRecord


def profiles_dir(environ: Mapping[str, str], /) -> Path:
    """All stored profiles, one folder a model."""
    return cache_dir(environ) / "profiles"


def check_class(name: str, /) -> str:
    """The name itself.

    Raises:
        ProfileError: it cannot name a file everywhere.
    """
    if not _CLASS.fullmatch(name):
        raise ProfileError(
            f"{name!r} cannot name a hardware class: use up to 32 of a-z, 0-9, dot and underscore, such as hmd_2"
        )
    return name


def store_profile(document: ProfileDocument, /, *, folder: Path) -> Path:
    """Write a profile under its name; one of the same class, runtime and threads is replaced at once."""
    home = folder / document.model_sha256
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{document.hardware}-{document.runtime}-{document.threads}.json"
    write_profile(document, path)
    return path


def write_profile(document: ProfileDocument, path: Path, /) -> None:
    """Write a profile to a file of any name; it appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(document.model_dump_json(indent=1, by_alias=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def find_profile(word: str, /, *, model: str, model_sha256: str, folder: Path) -> Profile:
    """The profile that a word means: a file, or the stored one of a hardware class; ``model`` is for messages.

    Raises:
        ProfileError: none, several, or one of another model; says which there are.
    """
    if (path := Path(word)).is_file():
        found = read_profile(path)
        if found.model_sha256 != model_sha256:
            raise ProfileError(f"{path} is no profile of {model}: profile it on that hardware")
        return found
    there = {path: read_profile(path) for path in sorted((folder / model_sha256).glob("*.json"))}
    matching = {path: row for path, row in there.items() if row.hardware == word}
    if len(matching) == 1:
        return next(iter(matching.values()))
    if matching:
        names = ", ".join(str(path) for path in matching)
        raise ProfileError(
            f"{len(matching)} profiles of {word} ({names}): name the file instead of the class"
        )
    known = ", ".join(sorted({row.hardware for row in there.values()})) or "none"
    raise ProfileError(
        f"no profile of {model} on {word} (stored: {known}): run `headway model profile {model} --class {word}` "
        "there, or pass the file it wrote"
    )
