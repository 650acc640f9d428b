"""Words of the control plane: ids, names and digests as they must look, and the two kinds of document.

Vocabulary. Documents that people write forbid unknown keys, so that a typing mistake is an error that names
the field; documents that nodes write ignore them, so that old readers accept new writers.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,31}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
# Below 2^53, so that it is the same number in JSON readers that only know doubles, and fits a database's bigint.
Count = Annotated[int, Field(ge=0, lt=2**53)]
UnixMs = Count
# Without U+0000: PostgreSQL cannot store it, and no one writes it on purpose.
Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]


class Written(BaseModel):
    """Base of documents that people write."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reading(BaseModel):
    """Base of documents that nodes write; unknown keys come from newer nodes and are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
