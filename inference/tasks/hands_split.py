"""The hand task in parts: the landmark model's middle runs elsewhere, palms, head and tail here.

``look`` gives the tensors that travel, ``finish`` takes those that came back; on one kernel path the hands are
those of ``HandTask.run``, byte for byte. One instance belongs to one thread; between the two calls any number of
other frames may be looked at. Pure but for the models it runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.errors import TaskError
from inference.live_tensors import Edge, spec_of
from inference.placed import Part, open_part
from inference.runtimes.base import Array, Runtime
from inference.split import SplitModel
from inference.tasks.hands import Hand, HandsResult, HandTask
from inference.tasks.landmark import decode_landmarks, hand_crop
from inference.tasks.roi import Roi
from inference.tasks.tensors import encode_image
from schemas.messages import Tensor
from schemas.placements import Placement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """A frame of ``width`` x ``height`` pixels after its head: what travels, and what the tail needs besides.

    ``tensors`` is empty where no region was found: then ``finish`` has nothing to wait for.
    """

    rois: tuple[Roi, ...]
    tensors: tuple[Tensor, ...]
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
    ) -> None:
        flow = split.flow
        self.placement = placement
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
        return sum(
            tensor.payload_bytes // (4 if self._up.takes_pixels(tensor.name) else 1)
            for tensor in self._up.tensors
        )

    @property
    def down_bytes(self) -> int:
        """Bytes of tensors that come back from the worker for each hand."""
        return sum(tensor.payload_bytes for tensor in self._down.tensors)

    def blank_return(self) -> dict[str, Array]:
        """Zeros in the shape of what a worker returns for one hand, by tensor name."""
        return {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in self._down.tensors}

    def look(self, image_rgb: NDArray[np.uint8], *, rois: Sequence[Roi] = ()) -> Looked:
        """Find the regions of an image (H, W, 3) and run the head on each.

        Raises:
            TaskError: the image is not uint8 of shape (H, W, 3).
            ModelRunError: the engine failed.
        """
        started_ns = self._clock_ns()
        regions, searched = self._task.where(image_rgb, rois=rois)
        found_ns = self._clock_ns()
        tensors: list[Tensor] = []
        kept = []
        for number, roi in enumerate(regions):
            crop = hand_crop(image_rgb, roi)
            values: dict[str, Array] = {self._input.name: encode_image(crop, self._input)}
            if self.head is not None:
                values |= self.head.run(values)
            pixels = {name: crop[np.newaxis] for name in values if self._up.takes_pixels(name)}
            tensors.extend(self._up.pack(number, values | pixels))
            kept.append(values)
        height, width = image_rgb.shape[:2]
        return Looked(
            rois=tuple(regions),
            tensors=tuple(tensors),
            kept=tuple(kept),
            width=width,
            height=height,
            palm_ran=searched,
            timings_ns={"palm": found_ns - started_ns, "head": self._clock_ns() - found_ns},
        )

    def misfit(self, looked: Looked, returned: Sequence[Tensor]) -> str:
        """Why ``finish`` would refuse what came back, empty where it fits; looks at names, shapes and types alone."""
        try:
            self._down.unpack(returned, subjects=len(looked.rois))
        except TaskError as error:
            return str(error)
        return ""

    def finish(self, looked: Looked, returned: Sequence[Tensor]) -> HandsResult:
        """Run the tail on what the worker returned and read the hands.

        Raises:
            TaskError: what came back is not what this placement returns; says what is expected.
            ModelRunError: the engine failed.
        """
        started_ns = self._clock_ns()
        answers = self._down.unpack(returned, subjects=len(looked.rois))
        seen = [
            self._judge(dict(kept) | answer, roi, looked)
            for kept, answer, roi in zip(looked.kept, answers, looked.rois, strict=True)
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
        hands = SplitHands(task, split=split, placement=placement, head=head, tail=tail, clock_ns=clock_ns)
        stack.pop_all()
    return hands
