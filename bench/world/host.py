"""Vocabulary: the host in the world: how late it wakes who asked to be woken, and what a run of the model takes of it.

Quantiles of a real run: two shared cores, one headset at 30 fps beside a broker and a worker. A host that is never late
would make every policy look alike.
"""

from bisect import bisect_left

Table = tuple[tuple[float, float], ...]  # fraction -> milliseconds, both rising

HOST_LATENESS: Table = (
    (0.0, 0.02),
    (0.1, 0.07),
    (0.5, 0.09),
    (0.9, 0.13),
    (0.99, 2.1),
    (0.999, 4.1),
    (0.9999, 7.2),
    (1.0, 22.5),
)
HOST_RUN: Table = ((0.0, 3.5), (1.0, 3.5))
NS_PER_MS = 1_000_000


def at_ns(table: Table, *, share: float) -> int:
    """The nanoseconds of this share (0 to 1), straight between the rows."""
    index = min(max(1, bisect_left(table, share, key=lambda row: row[0])), len(table) - 1)
    (low, low_ms), (high, high_ms) = table[index - 1], table[index]
    part = (share - low) / (high - low)
    return round((low_ms + part * (high_ms - low_ms)) * NS_PER_MS)
