"""Pure core: from profiles to what placement takes of them besides durations: common levels, codings, pictures.

Packing and pictures need both ends measured: the headset encodes what the worker decodes. What only one side
measured is left out, never guessed.
"""

from collections.abc import Sequence

from inference.errors import PlacementError
from inference.placement.inputs import Coding, InputQuality
from inference.profile.stored import Profile

RAW = Coding(name="raw")


def at_common_levels(profiles: Sequence[Profile], /) -> tuple[Profile, ...]:
    """The profiles at the levels that all of them have, in the same order.

    Raises:
        PlacementError: they share none.
    """
    levels = tuple(
        level for level in profiles[0].levels if all(level in profile.levels for profile in profiles)
    )
    if not levels:
        found = "; ".join(f"{profile.hardware} {profile.levels}" for profile in profiles)
        raise PlacementError(f"the profiles share no level ({found}): profile all sides alike")
    return tuple(_at(profile, levels) for profile in profiles)


def codings_of(ends: Sequence[tuple[Profile, Profile]], /) -> tuple[Coding, ...]:
    """Raw, and packed where it was measured at both ends (device, worker) of every model; the worst of each figure."""
    near, far = ([pair[side].packing for pair in ends] for side in (0, 1))
    device, worker = ([packing for packing in side if packing is not None] for side in (near, far))
    if len(device) + len(worker) < 2 * len(ends):
        return (RAW,)
    packed = Coding(
        name="packed",
        ratio=max(row.ratio for row in device + worker),
        device_encode_ns_per_byte=max(row.encode_ns_per_byte for row in device),
        worker_decode_ns_per_byte=max(row.decode_ns_per_byte for row in worker),
        worker_encode_ns_per_byte=max(row.encode_ns_per_byte for row in worker),
        device_decode_ns_per_byte=max(row.decode_ns_per_byte for row in device),
    )
    return (RAW, packed)


def qualities_of(device: Profile, worker: Profile, /) -> tuple[InputQuality, ...]:
    """The input as a picture at each quality that both sides measured; the larger size and loss of the two."""
    far = {rung.name: rung for rung in worker.rungs}
    return tuple(
        InputQuality(
            name=rung.name,
            payload_bytes=max(rung.payload_bytes, far[rung.name].payload_bytes),
            encode_ns=rung.encode_ns,
            decode_ns=far[rung.name].decode_ns,
            loss=max(rung.loss, far[rung.name].loss),
        )
        for rung in device.rungs
        if rung.name in far
    )


def _at(profile: Profile, levels: tuple[float, ...]) -> Profile:
    rows = [profile.levels.index(level) for level in levels]

    def taken(values: Sequence[float]) -> tuple[float, ...]:
        if len(values) != len(profile.levels):
            raise PlacementError(f"the profile of {profile.hardware} needs a value a level: profile again")
        return tuple(values[row] for row in rows)

    def rows_of(table: Sequence[tuple[float, ...]]) -> tuple[tuple[float, ...], ...]:
        if len(table) != len(profile.levels):
            raise PlacementError(f"the profile of {profile.hardware} needs a row a level: profile again")
        return tuple(table[row] for row in rows)

    return profile.model_copy(
        update={
            "levels": levels,
            "prefix_ns": rows_of(profile.prefix_ns),
            "suffix_ns": None if profile.suffix_ns is None else rows_of(profile.suffix_ns),
            "measured": tuple(part.model_copy(update={"ns": taken(part.ns)}) for part in profile.measured),
            "rungs": tuple(
                rung.model_copy(
                    update={"encode_ns": taken(rung.encode_ns), "decode_ns": taken(rung.decode_ns)}
                )
                for rung in profile.rungs
            ),
        }
    )
