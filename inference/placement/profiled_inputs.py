"""Shell: finds the profiles of every model that may do a task, and makes of them what placement starts from.

Refuses models without profiles on the hardware named, and profiles that do not fit each other. What must stay
here: which profile belongs to which model and tier.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import NotFoundError, PlacementError, ProfileError
from inference.placement.codings import at_common_levels, codings_of, qualities_of
from inference.placement.inputs import ModelVariant, PlacementInputs, Rates, Tier
from inference.profile.store import find_profile, profiles_dir
from inference.profile.stored import Profile
from inference.split.model import split_model
from inference.split.traffic import transfer_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may do the task, and its profile on each tier. ``loss``: accuracy lost against the best."""

    path: Path
    content: bytes
    digest: str
    loss: float
    tiers: Mapping[Tier, Profile]


def find_candidates(
    models: Sequence[tuple[Path, float]], /, *, named: Mapping[Tier, str], given: Sequence[Profile]
) -> list[Candidate]:
    """Each model with its loss and its profiles on the hardware ``named``, all at the levels they share.

    ``given`` go before stored ones.

    Raises:
        NotFoundError: a profile is missing; says of which model on which hardware.
        PlacementError: the profiles share no level.
    """
    found = []
    for path, loss in models:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        tiers = {tier: _profile(path, digest, word=word, given=given) for tier, word in named.items()}
        found.append(Candidate(path=path, content=content, digest=digest, loss=loss, tiers=tiers))
    level = iter(at_common_levels([profile for row in found for profile in row.tiers.values()]))
    return [replace(row, tiers={tier: next(level) for tier in row.tiers}) for row in found]


def placement_inputs(
    candidates: Sequence[Candidate],
    /,
    *,
    rates: Rates,
    backhaul_bps: float,
    shapes: Mapping[str, tuple[int, ...]],
) -> PlacementInputs:
    """What placement enumerates. ``shapes`` of free inputs; without them those that were profiled.

    Raises:
        GraphError: a model cannot be cut.
        PlacementError: a profile does not fit its model.
    """
    ends = [(row.tiers["device"], row.tiers["worker"]) for row in candidates]
    return PlacementInputs(
        variants=tuple(_variant(row, shapes) for row in candidates),
        levels=ends[0][0].levels,
        codings=codings_of(ends),
        rates=rates,
        tiers=frozenset(candidates[0].tiers),
        backhaul_bps=backhaul_bps,
    )


def _variant(candidate: Candidate, shapes: Mapping[str, tuple[int, ...]]) -> ModelVariant:
    tiers = candidate.tiers
    near, far = tiers["device"], tiers["worker"]
    if any(row.shapes != near.shapes for row in tiers.values()):
        raise PlacementError(
            f"the profiles of {candidate.path.name} are of different input shapes: profile all sides alike"
        )
    split = split_model(candidate.content, shapes=dict(shapes) or near.shapes)
    positions = tuple(cut.position for cut in split.cuts)
    cloud = tiers.get("cloud")
    return ModelVariant(
        name=candidate.path.stem,
        transfer=transfer_bytes(split.flow, positions),
        device=near.table(positions),
        worker=far.table(positions),
        cloud=None if cloud is None else cloud.table(positions),
        loss=candidate.loss,
        qualities=qualities_of(near, far),
    )


def _profile(path: Path, digest: str, *, word: str, given: Sequence[Profile]) -> Profile:
    for row in given:
        if row.hardware == word and row.model_sha256 == digest:
            return row
    try:
        return find_profile(word, model=path.name, model_sha256=digest, folder=profiles_dir(os.environ))
    except ProfileError as error:
        raise NotFoundError(str(error)) from error
