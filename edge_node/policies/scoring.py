"""Pure core: which of several ways may be taken, and how good each is. No memory: what was before is told.

Chances first: only ways about as sure as the surest stay. Among those the score decides, the higher the better:
minus (quality's weight times loss, plus a joule's price times joules, plus cost's weight times megabytes sent).
"""

from collections.abc import Iterable, Sequence

from edge_node.policies.base import BYTES_PER_MB, Considered, Path
from schemas.deployments import Weights

LEAST_SAMPLES = 3  # of the link, before it is believed
WORTH, WORTH_HERE = 0.2, 0.04  # five in a hundred more, where a quarter is asked; less to go on leaving
NAMES = {Path.LOCAL: "staying", Path.OFFLOAD: "a picture", Path.SPLIT: "the split"}


def score(rows: Iterable[Considered], weights: Weights, *, joule_price: float) -> None:
    """Write every row's score."""
    quality, per_byte = weights.quality, weights.cost / BYTES_PER_MB
    for row in rows:
        row.score = -(quality * row.loss + joule_price * row.energy_j + per_byte * row.payload_bytes)


def turn_down_the_unlikely(
    rows: Sequence[Considered], *, floor: float, floor_here: float, here: Path
) -> None:
    """Of ways that leave: those the link does not promise enough for. ``here``: where the last frame went.

    A frame that has little to lose here leaves for less: if that makes it surer by ``WORTH`` of what is asked. The first
    row is the run here.
    """
    staying = rows[0].p_on_time
    for row in rows:
        if row.why_not or row.path is Path.LOCAL:
            continue
        asked, worth = (floor_here, WORTH_HERE) if row.path is here else (floor, WORTH)
        if row.path is not here and row.samples < LEAST_SAMPLES:
            row.why_not = "too little is known of the link"
        elif row.p_remote < asked and row.p_on_time - staying < worth * asked:
            row.why_not = f"only {row.p_remote:.2f} to be back in time, asked are {asked:.2f}"
            row.unsure = True


def turn_down_the_less_sure(rows: Sequence[Considered], *, tolerance: float) -> None:
    """All that are not about as sure as the surest way that may be taken."""
    surest: Considered | None = None
    for row in rows:
        if not row.why_not and (surest is None or row.p_on_time > surest.p_on_time):
            surest = row
    if surest is None:
        return
    for row in rows:
        if not row.why_not and row.p_on_time < surest.p_on_time - tolerance:
            row.why_not = f"{NAMES[surest.path]} is surer: {surest.p_on_time:.3f} against {row.p_on_time:.3f}"
            row.unsure = True


def best(rows: Iterable[Considered]) -> Considered | None:
    """The best score of those that may be taken; the first of equals."""
    found: Considered | None = None
    for row in rows:
        if not row.why_not and (found is None or row.score > found.score):
            found = row
    return found


def best_of(rows: Sequence[Considered], *, tolerance: float) -> Considered | None:
    """The best score among those about as sure as the surest of them; turns nothing down."""
    surest = max((row.p_on_time for row in rows if not row.why_not), default=0.0)
    return best(row for row in rows if row.p_on_time >= surest - tolerance)
