"""The content list of a model package. Vocabulary.

The sha256 of a manifest's canonical bytes is the package's digest, so everything it lists is pinned by it.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Digest, Name, Reading, Text, Version

OutputRecord = dict[str, float | int | str | bool | None]


class ModelFile(Reading):
    """One file of a package with the hash of every 60 KiB chunk, so that a transfer resumes and heals."""

    role: Literal["model", "golden"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    bytes: Annotated[int, Field(gt=0, le=512 * 1024 * 1024)]
    sha256: Digest
    chunk_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)]
    chunk_sha256: tuple[Digest, ...]


class GoldenOutput(Reading):
    """How near an output must come to the published one: the mean absolute difference in the output's unit."""

    name: str
    tolerance: Annotated[float, Field(ge=0)]


class ModelManifest(Reading):
    """The content list of a package. Its canonical bytes are what the package's digest is taken of."""

    schema_version: Literal[1] = 1
    name: Name
    version: Version
    task: Literal["hands", "detect", "text", "speech"]
    runtimes: tuple[str, ...]
    quantisation: Literal["float", "float16", "int8", "mixed"]
    model_digest: Digest
    files: tuple[ModelFile, ...]
    golden: tuple[GoldenOutput, ...] = ()
    agreement: dict[str, OutputRecord] = Field(default_factory=dict)
    calibration: OutputRecord = Field(default_factory=dict)
    source: Text = ""
    licence: Text = ""

    def file(self, role: str) -> ModelFile | None:
        """The file with this role, None where the package has none."""
        return next((file for file in self.files if file.role == role), None)
