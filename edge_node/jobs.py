"""Vocabulary of the local slot: engines, what they may be asked to do, and how that ended. No logic."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge_node.device_class import Segment
from edge_node.frames import Image
from inference.split.hands import Looked, Returned
from inference.split.part_payload import PartPayload
from inference.tasks.hands import HandsResult
from inference.tasks.roi import Roi
from schemas.messages import PartCoding
from schemas.placements import Placement


class JobKind(str, Enum):
    """How much of the task one job computes: all of it, or what comes before or behind the worker's part."""

    WHOLE = "whole"
    HEAD = "head"
    TAIL = "tail"


class Perceiver(Protocol):
    """What finds hands: ``inference.tasks.hands.HandTask`` or a stand-in."""

    def run(self, image_rgb: Image, *, rois: Sequence[Roi] = ()) -> HandsResult:
        """Find hands in an image (H, W, 3) RGB, looking into ``rois`` first."""


class SplitPerceiver(Protocol):
    """What finds hands together with a worker: ``inference.split.hands.SplitHands`` or a stand-in."""

    def look(self, image_rgb: Image, *, rois: Sequence[Roi] = ()) -> Looked:
        """Everything before the worker's part, for an image (H, W, 3) RGB."""

    def read_back(self, looked: Looked, part: PartPayload) -> Returned:
        """What a worker sent back, checked; ``TaskError`` where it cannot be finished with."""

    def finish(self, looked: Looked, returned: Returned) -> HandsResult:
        """Everything behind it, with what the worker returned."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EngineParts:
    """An engine's head and tail around a placement, and what part of a whole landmark run each takes here.

    ``coding``: how tensors travel between it and the worker; ``up_bytes``: of those of one hand, raw.
    """

    placement: Placement
    hands: SplitPerceiver
    head_share: float
    tail_share: float
    up_bytes: int = 0
    coding: PartCoding = PartCoding.RAW


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """Loaded models under one label. ``landmark`` says which row of the device class they cost.

    ``digest`` is the landmark model's sha256 in hex. ``parts`` are there while the split config names a placement
    that fits the model; ``kernel``, the fingerprint (hex) of what computes it here, since the first time it did.
    ``others``: the same engine cut at other pairs that the config names; none of them has others.
    """

    task: Perceiver
    label: str
    digest: str
    landmark: Segment
    kernel: str = ""
    parts: EngineParts | None = None
    others: tuple["Engine", ...] = ()

    @property
    def cut(self) -> int:
        """Which placement it is cut at, by its id; 0 where it is not."""
        return 0 if self.parts is None else self.parts.placement.id

    @property
    def cuts(self) -> tuple["Engine", ...]:
        """The same engine at every pair it is cut at, the config's first one first."""
        return () if self.parts is None else (self, *self.others)

    def at(self, placement: Placement | None) -> "Engine":
        """The same engine cut at this placement; itself where none is named, or none such was cut."""
        for engine in self.others:
            if engine.parts is not None and engine.parts.placement == placement:
                return engine
        return self

    def covers(self, engine: "Engine") -> bool:
        """Whether that is this one, cut wherever."""
        return engine is self or engine in self.others

    def share(self, kind: JobKind) -> float:
        """What part of a whole landmark run a job of this kind takes."""
        if kind is JobKind.WHOLE or self.parts is None:
            return 1.0
        return self.parts.head_share if kind is JobKind.HEAD else self.parts.tail_share


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One frame for the slot. ``looked`` and ``returned`` belong to a tail."""

    frame_id: int
    image: Image
    rois: tuple[Roi, ...]
    engine: Engine
    kind: JobKind = JobKind.WHOLE
    looked: Looked | None = None
    returned: Returned = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobDone:
    """A job that really ended: with a ``result``, or ``looked`` for a head, or neither and the reason in ``error``."""

    job: Job
    result: HandsResult | None
    error: str
    started_ns: int
    ended_ns: int
    looked: Looked | None = None

    @property
    def failed(self) -> bool:
        """Whether the model did not do what it was asked."""
        return self.result is None and self.looked is None
