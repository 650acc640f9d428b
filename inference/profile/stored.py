"""Shell: reads stored profiles, the durations of one model's parts on one piece of hardware.

A profile is a JSON object: ``schema`` = ``headway.profile/1``, ``hardware`` (its class), ``fingerprint`` (of
the hardware), ``model_sha256``, ``levels`` (ascending), ``positions`` (legal cuts), ``prefix_ns`` and
optionally ``suffix_ns`` (one row a level, one value a position), ``measured`` (list of ``start``, ``end``,
``ns``), ``packing`` and ``rungs`` (what coding costs there), ``shapes`` (of free inputs). Refuses what is
incomplete; never makes up a duration.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.errors import PlacementError
from inference.profile.durations import DurationTable

SCHEMA = "headway.profile/1"
MAX_PROFILE_BYTES = 64 << 20


class MeasuredPart(BaseModel):
    """A part that was timed by itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: int
    end: int
    ns: tuple[float, ...]


class Packing(BaseModel):
    """What packing makes of tensors: wire bytes a tensor byte, and time a tensor byte, over ``cuts`` cuts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ratio: float = Field(gt=0)
    encode_ns_per_byte: float = Field(ge=0)
    decode_ns_per_byte: float = Field(ge=0)
    cuts: int


class InputRung(BaseModel):
    """The model's input as a picture of one quality; one duration a level."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    payload_bytes: int = Field(gt=0)
    encode_ns: tuple[float, ...]
    decode_ns: tuple[float, ...]
    loss: float = Field(default=0.0, ge=0)


class Profile(BaseModel):
    """Durations of one model on one piece of hardware; further fields of the file are for others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hardware: str
    fingerprint: str = ""
    model_sha256: str
    levels: tuple[float, ...] = Field(min_length=1)
    positions: tuple[int, ...] = Field(min_length=2)
    prefix_ns: tuple[tuple[float, ...], ...]
    suffix_ns: tuple[tuple[float, ...], ...] | None = None
    measured: tuple[MeasuredPart, ...] = ()
    packing: Packing | None = None
    rungs: tuple[InputRung, ...] = ()
    shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)

    def table(self, positions: tuple[int, ...]) -> DurationTable:
        """Durations of every part between these positions.

        Raises:
            PlacementError: the profile covers other positions or its rows do not fit.
        """
        if self.positions != positions:
            raise PlacementError(
                f"the profile of {self.hardware} covers {len(self.positions)} cuts, the model has {len(positions)} "
                "legal ones: profile it again with `headway model profile`"
            )
        rows = [*self.prefix_ns, *(self.suffix_ns or ())]
        counts = {len(rows) // (2 if self.suffix_ns else 1), len(self.levels)}
        if len(counts) > 1 or any(len(row) != len(positions) for row in rows):
            raise PlacementError(f"the profile of {self.hardware} needs a row a level and a value a position")
        at = {position: index for index, position in enumerate(positions)}
        if any(
            not {part.start, part.end} <= at.keys() or len(part.ns) != len(self.levels)
            for part in self.measured
        ):
            raise PlacementError(
                f"the profile of {self.hardware} timed a part that is not between its positions"
            )
        return DurationTable.from_prefixes(
            self.prefix_ns,
            suffix_ns=self.suffix_ns,
            measured_ns={(at[part.start], at[part.end]): part.ns for part in self.measured},
        )


def read_profile(path: Path) -> Profile:
    """Read one file.

    Raises:
        PlacementError: it is no profile of this schema.
    """
    try:
        if path.stat().st_size > MAX_PROFILE_BYTES:
            raise PlacementError(
                f"{path} is larger than any profile: name the file of `headway model profile`"
            )
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise PlacementError(f"{path} is no profile ({SCHEMA}): make one with `headway model profile`")
        return Profile.model_validate(value)
    except (ValueError, RecursionError, ValidationError) as error:
        raise PlacementError(f"{path} cannot be read as a profile: {error}") from error
