"""Pure core: the tensors at the edges of a model's part, as they travel between headset and worker.

Each travels under the number of its subject (a hand, say) and its name in the model, in the model's own type; the
pixels of a float input travel as they are, a quarter of the bytes. What comes in is checked against the part: names,
shapes and types of every subject, so that nothing that another version or a stranger sent reaches an engine.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from inference.errors import TaskError
from inference.flow import FlowTensor
from inference.runtimes.base import Array, TensorSpec
from inference.split import SplitModel
from inference.tasks.tensors import encode_image
from schemas.messages import Tensor
from schemas.placements import wire_name

PIXEL_SCALE = float(np.float32(1 / 255))  # as the wire's float32 holds it
_IMAGE_RANK = 4  # [1, height, width, channels]


class Edge:
    """One side of a part: the tensors that cross there, by name, in run order."""

    def __init__(self, split: SplitModel, names: Sequence[str], /) -> None:
        flow = split.flow
        known = {tensor.name: tensor for tensor in flow.tensors}
        self.tensors: tuple[FlowTensor, ...] = tuple(known[name] for name in names)
        images = (flow.tensors[index] for index in flow.inputs)
        self._pixels = frozenset(
            image.name for image in images if image.dtype == "float32" and len(image.shape) == _IMAGE_RANK
        )

    def takes_pixels(self, name: str) -> bool:
        """Whether this tensor is a float image, which travels as its uint8 pixels."""
        return name in self._pixels

    def pack(self, subject: int, values: Mapping[str, Array]) -> tuple[Tensor, ...]:
        """One subject's tensors for the wire; a float image is given as uint8 pixels [1, height, width, 3]."""
        return tuple(
            Tensor(
                name=wire_name(subject, tensor.name),
                data=values[tensor.name],
                scale=PIXEL_SCALE if self.takes_pixels(tensor.name) else tensor.scale or 0.0,
                zero_point=tensor.zero_point or 0,
            )
            for tensor in self.tensors
        )

    def unpack(self, tensors: Sequence[Tensor], *, subjects: int) -> tuple[dict[str, Array], ...]:
        """The values of each subject by tensor name, ready to run; as many as ``subjects``.

        Raises:
            TaskError: a tensor is missing, unknown, twice there, or of another shape or type; says what is expected.
        """
        there = {tensor.name: tensor for tensor in tensors}
        wanted = {
            wire_name(subject, tensor.name): tensor for subject in range(subjects) for tensor in self.tensors
        }
        if len(there) != len(tensors) or set(there) != set(wanted):
            raise TaskError(
                f"{len(tensors)} tensors {_listed(there)} came, expected are {len(wanted)}: {_listed(wanted)}"
            )
        return tuple(
            {
                tensor.name: self._values(there[wire_name(subject, tensor.name)], tensor)
                for tensor in self.tensors
            }
            for subject in range(subjects)
        )

    def _values(self, came: Tensor, wanted: FlowTensor) -> Array:
        data = came.data
        if data.shape == wanted.shape and data.dtype == np.uint8 and self.takes_pixels(wanted.name):
            if np.float32(came.scale) != np.float32(PIXEL_SCALE) or came.zero_point:
                raise TaskError(
                    f"{came.name} has scale {came.scale:g}, expected are pixels of scale {PIXEL_SCALE:g}"
                )
            return encode_image(data[0].view(np.uint8), spec_of(wanted))  # the headset's own arithmetic
        if data.shape != wanted.shape or data.dtype != np.dtype(wanted.dtype):
            raise TaskError(
                f"{came.name} is {data.dtype} {data.shape}, expected is {wanted.dtype} {wanted.shape}"
            )
        return data


def spec_of(tensor: FlowTensor) -> TensorSpec:
    """A flow's tensor as an engine describes it."""
    return TensorSpec(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
    )


def _listed(names: Mapping[str, object], most: int = 4) -> str:
    shown = [name[:64] for name in list(names)[:most]]
    return ", ".join(shown) + (" …" if len(names) > most else "")
