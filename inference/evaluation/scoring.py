"""Pure core: how well found hands agree with reference hands.

Matching is one to one and exact: as many pairs as possible within ``MATCH_DISTANCE``, and among those the
smallest total distance. The constants are part of the measurement; changing one makes old scores lie.
Nothing here opens a file or runs a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

MATCH_DISTANCE = 0.2
_DIGITS = 6

Points = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One pair: positions in the reference and found lists, and the distance between them."""

    reference: int
    found: int
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one image gave: counts of hands and the distances of the matched ones."""

    n_reference: int
    n_found: int
    distances: tuple[float, ...]


def hand_distance(reference: Points, found: Points) -> float:
    """Mean 2-D distance of 21 landmarks (21, >= 2) in pixels over the longer side of the reference's box."""
    box = np.ptp(reference[:, :2], axis=0)
    gaps = np.linalg.norm(found[:, :2] - reference[:, :2], axis=1)
    longer_side = float(box.max())
    return float(gaps.mean()) / longer_side if longer_side > 0 else float("inf")


def match_hands(reference: Sequence[Points], found: Sequence[Points]) -> list[Match]:
    """The best one-to-one matching of reference hands and found hands, all in pixels."""
    table = tuple(tuple(hand_distance(ref, hand) for hand in found) for ref in reference)
    return list(_best(table))


def tally_image(reference: Sequence[Points], found: Sequence[Points]) -> Tally:
    """Match one image's hands and count."""
    distances = tuple(match.distance for match in match_hands(reference, found))
    return Tally(n_reference=len(reference), n_found=len(found), distances=distances)


def score(tallies: Sequence[Tally]) -> dict[str, float | int | None]:
    """The figures of many images; a figure that nothing defines (no hands at all) is None."""
    distances = [distance for tally in tallies for distance in tally.distances]
    n_reference = sum(tally.n_reference for tally in tallies)
    n_found = sum(tally.n_found for tally in tallies)
    return {
        "n_images": len(tallies),
        "n_hands": n_reference,
        "n_matched": len(distances),
        "recall": ratio(len(distances), n_reference),
        "precision": ratio(len(distances), n_found),
        "median": quantile(distances, 0.5),
        "p90": quantile(distances, 0.9),
    }


def ratio(part: int, whole: int) -> float | None:
    """Part over whole, or None of nothing."""
    return round(part / whole, _DIGITS) if whole else None


def quantile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile (0 to 1) of values, or None of none."""
    return round(float(np.quantile(values, q)), _DIGITS) if values else None


def _best(table: tuple[tuple[float, ...], ...]) -> tuple[Match, ...]:
    """Exact assignment: try every free found hand (or none) for each reference hand, remembering subproblems.

    Found hands are few (``max_hands``), so the sets of used ones are few as well.
    """

    @cache
    def onward(reference: int, used: int) -> tuple[int, float, tuple[Match, ...]]:
        if reference == len(table):
            return (0, 0.0, ())
        options = [onward(reference + 1, used)]
        for found, distance in enumerate(table[reference]):
            if distance <= MATCH_DISTANCE and not used >> found & 1:
                missed, total, rest = onward(reference + 1, used | 1 << found)
                match = Match(reference=reference, found=found, distance=distance)
                options.append((missed - 1, total + distance, (match, *rest)))
        return min(options, key=lambda option: option[:2])

    return onward(0, 0)[2]
