"""Vocabulary: the host in the world: how late it wakes who asked to be woken, and what a run of the model takes of it.

Quantiles measured on two shared cores. ``prompt``: the thread that answers frames may go first, as the node sees to
where the system allows it (the load was nine for two cores); ``busy``: it may not, beside a broker, a worker and others.
A host that is never late would make every policy look alike.
"""

from bisect import bisect_left
from dataclasses import dataclass

Table = tuple[tuple[float, float], ...]  # fraction -> milliseconds, both rising
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One kind of host: lateness of wakings, and the real time of a run, whatever the device class then makes of it."""

    lateness: Table
    run: Table


HOSTS = {
    "prompt": Host(
        lateness=(
            (0.0, 0.03),
            (0.5, 0.05),
            (0.9, 0.07),
            (0.99, 0.10),
            (0.999, 0.50),
            (0.9999, 1.12),
            (1.0, 1.22),
        ),
        run=((0.0, 3.5), (1.0, 3.5)),
    ),
    "busy": Host(
        lateness=(
            (0.0, 0.02),
            (0.1, 0.07),
            (0.5, 0.09),
            (0.9, 0.13),
            (0.99, 2.1),
            (0.999, 4.1),
            (0.9999, 7.2),
            (1.0, 22.5),
        ),
        run=((0.0, 7.1), (0.1, 8.4), (0.5, 10.4), (0.9, 12.5), (0.99, 25.8), (0.999, 33.9), (1.0, 36.9)),
    ),
}


def at_ns(table: Table, *, share: float) -> int:
    """The nanoseconds of this share (0 to 1), straight between the rows."""
    index = min(max(1, bisect_left(table, (share,))), len(table) - 1)
    (low, low_ms), (high, high_ms) = table[index - 1], table[index]
    part = (share - low) / (high - low)
    return round((low_ms + part * (high_ms - low_ms)) * NS_PER_MS)
