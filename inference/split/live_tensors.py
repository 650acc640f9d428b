"""Pure core: the tensors at the edges of a model's part, as they travel between headset and worker.

They travel subject after subject (a hand, say) in the part's order, in the model's own type; the pixels of a float
input travel as they are, a quarter of the bytes. What comes in is checked against the part's shapes and types, so that
nothing that another version or a stranger sent reaches an engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from inference.graph.flow import FlowTensor
from inference.runtimes.base import Array, TensorSpec
from inference.split.model import SplitModel
from inference.split.part_payload import PartPayload, pack_part, spec_bytes, unpack_part
from inference.tasks.tensors import encode_image
from schemas.messages import PartCoding

_IMAGE_RANK = 4  # [1, height, width, channels]


class Edge:
    """One side of a part: the tensors that cross there, by name, in run order."""

    def __init__(self, split: SplitModel, names: Sequence[str], /) -> None:
        flow = split.flow
        known = {tensor.name: tensor for tensor in flow.tensors}
        self.tensors: tuple[FlowTensor, ...] = tuple(known[name] for name in names)
        images = (flow.tensors[index] for index in flow.inputs)
        self._channels_last = flow.file_format == "tflite"
        self._pixels = frozenset(
            image.name for image in images if image.dtype == "float32" and len(image.shape) == _IMAGE_RANK
        )
        self._travelling = tuple(
            replace(spec_of(tensor), dtype="uint8") if self.takes_pixels(tensor.name) else spec_of(tensor)
            for tensor in self.tensors
        )

    def takes_pixels(self, name: str) -> bool:
        """Whether this tensor is a float image, which travels as its uint8 pixels."""
        return name in self._pixels

    @property
    def travelling(self) -> tuple[TensorSpec, ...]:
        """One subject's tensors as they are on the way."""
        return self._travelling

    @property
    def payload_bytes(self) -> int:
        """Bytes of one subject's tensors on the way, unpacked."""
        return sum(spec_bytes(spec) for spec in self._travelling)

    def pack(
        self, rows: Sequence[Mapping[str, Array]], *, coding: PartCoding = PartCoding.RAW
    ) -> PartPayload:
        """The subjects' tensors, for the wire; a float image is given as uint8 pixels [1, height, width, 3].

        Raises:
            RuntimeMissingError: packing needs zstandard.
        """
        arrays = [[row[tensor.name] for tensor in self.tensors] for row in rows]
        return pack_part(arrays, coding=coding, channels_last=self._channels_last)

    def unpack(self, part: PartPayload) -> tuple[dict[str, Array], ...]:
        """The values of each subject by tensor name, ready to run.

        Raises:
            PackingError: the bytes are not these tensors of so many subjects; says what is expected.
            RuntimeMissingError: unpacking needs zstandard.
        """
        return tuple(
            {
                tensor.name: self._values(array, tensor)
                for tensor, array in zip(self.tensors, row, strict=True)
            }
            for row in unpack_part(part, self._travelling)
        )

    def _values(self, came: Array, wanted: FlowTensor) -> Array:
        if not self.takes_pixels(wanted.name):
            return came
        return encode_image(came[0].view(np.uint8), spec_of(wanted))  # the headset's own arithmetic


def spec_of(tensor: FlowTensor) -> TensorSpec:
    """A flow's tensor as an engine describes it."""
    return TensorSpec(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
    )
