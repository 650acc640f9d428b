"""The hand task in parts: the landmark model's middle runs elsewhere, palms, head and tail here.

``look`` gives the tensors that travel, ``read_back`` checks those that came back, ``finish`` takes them; on one kernel path the hands are
those of ``HandTask.run``, byte for byte. One instance belongs to one thread; between the two calls any number of
other frames may be looked at. Pure but for the models it runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, TaskError
from inference.runtimes.base import Array, Runtime
from inference.split.live_tensors import Edge, spec_of
from inference.split.model import SplitModel
from inference.split.part_payload import PartPayload
from inference.split.placed import Part, open_part
from inference.tasks.hands import Hand, HandsResult, HandTask
from inference.tasks.landmark import decode_landmarks, hand_crop
from inference.tasks.roi import Roi
from inference.tasks.tensors import encode_image
from schemas.messages import PartCoding
from schemas.placements import Placement

Returned = tuple[dict[str, Array], ...]  # of each region, what the worker's part yields, by tensor name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """A frame of ``width`` x ``height`` pixels after its head: what travels, and what the tail needs besides.

    ``live`` is of no subject where no region was found: then ``finish`` has nothing to wait for.
    """

    rois: tuple[Roi, ...]
    live: PartPayload
    kept: tuple[Mapping[str, Array], ...]  # per region, by tensor name
    width: int
    height: int
    palm_ran: bool
    timings_ns: dict[str, int] = field(default_factory=dict)


class SplitHands:
    """Finds hands together with a worker that runs ``operators[start:end)`` of the landmark model.

    ``task`` brings the palm detector and the thresholds; ``head`` and ``tail`` are None where the worker's part
    reaches to the model's edge.
    """

    def __init__(
        self,
        task: HandTask,
        *,
        split: SplitModel,
        placement: Placement,
        head: Part | None,
        tail: Part | None,
        clock_ns: Callable[[], int],
        coding: PartCoding = PartCoding.RAW,
    ) -> None:
        flow = split.flow
        self.placement = placement
        self._coding = coding
        self._task = task
        self.head, self.tail = head, tail
        self._clock_ns = clock_ns
        self._input = spec_of(flow.tensors[flow.inputs[0]])
        self._outputs = tuple(spec_of(flow.tensors[index]) for index in flow.outputs)
        self._up = Edge(split, split.part_inputs(placement.start, placement.end))
        self._down = Edge(split, split.part_outputs(placement.start, placement.end))

    @property
    def up_bytes(self) -> int:
        """Bytes of tensors that travel to the worker for each hand."""
        return self._up.payload_bytes

    @property
    def down_bytes(self) -> int:
        """Bytes of tensors that come back from the worker for each hand."""
        return self._down.payload_bytes

    def blank_return(self) -> dict[str, Array]:
        """Zeros in the shape of what a worker returns for one hand, by tensor name."""
        return {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in self._down.tensors}

    def look(self, image_rgb: NDArray[np.uint8], *, rois: Sequence[Roi] = ()) -> Looked:
        """Find the regions of an image (H, W, 3) and run the head on each.

        Raises:
            TaskError: the image is not uint8 of shape (H, W, 3).
            ModelRunError: the engine failed.
            RuntimeMissingError: packing needs zstandard.
        """
        started_ns = self._clock_ns()
        regions, searched = self._task.where(image_rgb, rois=rois)
        found_ns = self._clock_ns()
        sent: list[dict[str, Array]] = []
        kept = []
        for roi in regions:
            crop = hand_crop(image_rgb, roi)
            values: dict[str, Array] = {self._input.name: encode_image(crop, self._input)}
            if self.head is not None:
                values |= self.head.run(values)
            pixels = {name: crop[np.newaxis] for name in values if self._up.takes_pixels(name)}
            sent.append(values | pixels)
            kept.append(values)
        height, width = image_rgb.shape[:2]
        return Looked(
            rois=tuple(regions),
            live=self._up.pack(sent, coding=self._coding),
            kept=tuple(kept),
            width=width,
            height=height,
            palm_ran=searched,
            timings_ns={"palm": found_ns - started_ns, "head": self._clock_ns() - found_ns},
        )

    def read_back(self, looked: Looked, part: PartPayload) -> Returned:
        """What a worker sent back, read and checked; packed tensors are unpacked here.

        Raises:
            TaskError: it is not what this placement returns for this frame; says what is expected.
        """
        if part.subjects != len(looked.rois):
            raise TaskError(f"tensors of {part.subjects} hands came back, expected are {len(looked.rois)}")
        try:
            return self._down.unpack(part)
        except InferenceError as error:
            raise TaskError(f"what came back is not this placement's: {error}") from error

    def finish(self, looked: Looked, returned: Returned) -> HandsResult:
        """Run the tail on what ``returned`` gave and read the hands.

        Raises:
            ModelRunError: the engine failed.
        """
        started_ns = self._clock_ns()
        seen = [
            self._judge(dict(kept) | answer, roi, looked)
            for kept, answer, roi in zip(looked.kept, returned, looked.rois, strict=True)
        ]
        timings_ns = looked.timings_ns | {"tail": self._clock_ns() - started_ns}
        return self._task.result(
            seen, width=looked.width, height=looked.height, palm_ran=looked.palm_ran, timings_ns=timings_ns
        )

    def _judge(self, values: dict[str, Array], roi: Roi, looked: Looked) -> Hand | None:
        if self.tail is not None:
            values |= self.tail.run(values)
        outputs = tuple(values[spec.name] for spec in self._outputs)
        raw = decode_landmarks(outputs, self._outputs)
        return self._task.judge(raw, roi, width=looked.width, height=looked.height)

    def close(self) -> None:
        """Release head and tail; the task's models stay. Idempotent."""
        for part in (self.head, self.tail):
            if part is not None:
                part.close()


def open_split_hands(
    task: HandTask,
    *,
    split: SplitModel,
    placement: Placement,
    runtime: Runtime,
    clock_ns: Callable[[], int],
    threads: int = 1,
    coding: PartCoding = PartCoding.RAW,
) -> SplitHands:
    """Open head and tail of the landmark model for a placement.

    Raises:
        GraphError: the placement's positions are no legal cuts of this model; names the nearest.
        ModelLoadError: the engine cannot open a part.
    """
    last = len(split.flow.operators)
    start, end = placement.start, placement.end
    with ExitStack() as stack:
        head = open_part(split, 0, start, runtime=runtime, threads=threads) if start > 0 else None
        if head is not None:
            stack.callback(head.close)
        tail = open_part(split, end, last, runtime=runtime, threads=threads) if end < last else None
        if tail is not None:
            stack.callback(tail.close)
        hands = SplitHands(
            task, split=split, placement=placement, head=head, tail=tail, clock_ns=clock_ns, coding=coding
        )
        stack.pop_all()
    return hands
