"""Vocabulary: what the updater needs of the world, and how one of its actions ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_node.update import Attempt, Release
from schemas.documents import ChunkRequest
from schemas.states import FailureReason, UpdateEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """How an action ended."""

    event: UpdateEvent
    reason: FailureReason | None = None
    detail: str = ""


class Here(Protocol):
    """What the updater needs of the running headset: ``installation.Installation`` or a stand-in."""

    def install(self, release: Release, pause: Callable[[float], None]) -> None:
        """Put a release in place between two frames; UpdateError where that fails."""

    def prove(self, pause: Callable[[float], None]) -> None:
        """Watch it answer frames; UpdateError where it does not."""

    def model(self) -> str:
        """The label of the engine that answers now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdaterPorts:
    """The updater's way out and its clocks."""

    ask: Callable[[ChunkRequest], bool]
    note: Callable[[Attempt], None]
    clock_ns: Callable[[], int]
    wall_ms: Callable[[], int]
