"""Vocabulary of placements: which operators of a model run at the worker, as one number in a header.

Positions count operators of the model's folded graph, so both sides find the same parts in the same file; the
header's model digest names the file. Pure: what a position holds is known to ``inference`` alone.
"""

from dataclasses import dataclass

from schemas.errors import SchemaError

WHOLE_TASK = 0  # the placement id of a request that starts from pixels and ends in results
MAX_POSITION = 0xFFFF


class PlacementIdError(SchemaError):
    """A placement or its id cannot be; says what may stand there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The worker runs ``operators[start:end)``; what lies before and behind stays on the headset."""

    start: int
    end: int

    def __post_init__(self) -> None:
        """Refuse what no header can say.

        Raises:
            PlacementIdError: not rising, or out of bounds.
        """
        if not 0 <= self.start < self.end <= MAX_POSITION:
            raise PlacementIdError(
                f"the worker's part {self.start} to {self.end} cannot be: "
                f"choose positions from 0 to {MAX_POSITION}, the end behind the start"
            )

    @property
    def id(self) -> int:
        """The number in the header, never 0."""
        return self.start << 16 | self.end

    def __str__(self) -> str:
        """For people, and for whoever reads what they read."""
        return f"{self.start}:{self.end}"


def placement_of(placement_id: int, /) -> Placement:
    """The placement that a header names.

    Raises:
        PlacementIdError: the id of the whole task, or no placement.
    """
    if not 0 < placement_id <= 0xFFFF_FFFF:
        raise PlacementIdError(f"{placement_id} names no part of a model: send start << 16 | end")
    return Placement(start=placement_id >> 16, end=placement_id & MAX_POSITION)
