"""Pure core: every placement of two families, as arrays with one entry a placement.

U-shape: device [0, start), worker [start, end), device [end, N); it holds pure local, full offload and
"worker first, headset last" as special cases. Three tiers: device [0, start), edge [start, end), cloud
[end, N), answers come back through the edge. What must stay here: the enumeration is complete, nothing is
pruned; ``placement.survivors`` removes only what is never better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from inference.errors import PlacementError
from inference.placement.inputs import PlacementInputs, level_weights

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Family = Literal["u-shape", "three-tier"]

TERMS = ("head", "encode", "decode", "worker", "backhaul", "cloud", "reply", "tail")
_HEAD, _ENCODE, _DECODE, _WORKER, _BACKHAUL, _CLOUD, _REPLY, _TAIL = range(len(TERMS))
LOCAL, WORKER, WORKER_CLOUD, CLOUD = range(4)  # which far queues and ways a placement waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """K placements. ``start`` and ``end`` are positions; ``variant``, ``coding``, ``quality`` index the inputs.

    ``quality`` is -1 where the input travels as a tensor. ``group`` says which queues are waited for.
    ``terms_ns``: (L, len(TERMS), K), all that does not depend on the road; ``up_bytes`` and ``down_bytes``
    do. ``energy_j`` leaves the radio out, which depends on the road as well.
    """

    variant: Integers
    start: Integers
    end: Integers
    coding: Integers
    quality: Integers
    group: Integers
    terms_ns: Floats
    up_bytes: Floats
    down_bytes: Floats
    energy_j: Floats
    price: Floats
    loss: Floats

    @property
    def base_ns(self) -> Floats:
        """Sum of the terms, (L, K)."""
        return np.asarray(self.terms_ns.sum(axis=1))

    @property
    def waits(self) -> Floats:
        """(3, K), 1 where a placement waits for the way to the worker, its queue, the cloud's way and queue."""
        far = self.group != LOCAL
        return np.array([far, far & (self.group != CLOUD), far & (self.group != WORKER)], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.start)

    def take(self, indices: Integers) -> "Placements":
        """Those placements alone, in that order."""
        return Placements(**{row.name: getattr(self, row.name)[..., indices] for row in fields(self)})


def u_shape(inputs: PlacementInputs) -> Placements:
    """Every placement of the U-shape family that the allowed tiers permit.

    Raises:
        PlacementError: no placement is permitted.
    """
    blocks = []
    for number, variant in enumerate(inputs.variants):
        last = len(variant.transfer.positions) - 1
        start, end = np.triu_indices(last + 1, k=1)
        if "device" in inputs.tiers:
            blocks.append(_local(inputs, number))
        else:
            start, end = np.array([0]), np.array([last])
        runs = variant.transfer.runs[start, end]
        start, end = start[runs], end[runs]
        if "worker" in inputs.tiers:
            blocks.extend(_shipped(inputs, number, start, end, pictures=start == 0, family="u-shape"))
    return _joined(blocks)


def three_tiers(inputs: PlacementInputs) -> Placements:
    """Every placement device, edge, cloud in that order; tiers that are not allowed have no part.

    Raises:
        PlacementError: no placement is permitted.
    """
    blocks = []
    for number, variant in enumerate(inputs.variants):
        last = len(variant.transfer.positions) - 1
        start, end = np.triu_indices(last + 1)
        allowed = start < last  # start == last is the local placement
        allowed &= (start == end) | variant.transfer.runs[start, end]
        allowed &= ("device" in inputs.tiers) | (start == 0)
        allowed &= ("worker" in inputs.tiers) | (start == end)
        allowed &= ("cloud" in inputs.tiers) | (end == last)
        start, end = start[allowed], end[allowed]
        if "device" in inputs.tiers:
            blocks.append(_local(inputs, number))
        # A picture serves where one tier alone runs the whole model; else tensors of the input pass on.
        whole = (start == 0) & ((end == 0) | (end == last))
        blocks.extend(_shipped(inputs, number, start, end, pictures=whole, family="three-tier"))
    return _joined(blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Placements that share variant, coding and picture; ``start`` and ``end`` are indices of positions."""

    inputs: PlacementInputs
    variant: int
    coding: int = -1
    quality: int = -1
    start: Integers
    end: Integers


def _shipped(
    inputs: PlacementInputs,
    number: int,
    start: Integers,
    end: Integers,
    *,
    pictures: npt.NDArray[np.bool_],
    family: Family,
) -> list[Placements]:
    """One block a coding, and one more for each rung of the ladder where the input itself is sent."""
    make = _u_block if family == "u-shape" else _tier_block
    blocks = []
    for coding in range(len(inputs.codings)):
        for quality in range(-1, len(inputs.variants[number].qualities)):
            chosen = pictures if quality >= 0 else np.ones(len(start), dtype=bool)
            block = _Block(
                inputs=inputs,
                variant=number,
                coding=coding,
                quality=quality,
                start=start[chosen],
                end=end[chosen],
            )
            blocks.append(make(block))
    return blocks


def _local(inputs: PlacementInputs, number: int) -> Placements:
    variant = inputs.variants[number]
    last = np.array([len(variant.transfer.positions) - 1])
    terms = np.zeros((len(inputs.levels), len(TERMS), 1))
    terms[:, _HEAD] = variant.device.ns[:, 0, last]
    return Placements(
        **_labels(_Block(inputs=inputs, variant=number, start=last, end=last), group=np.array([LOCAL])),
        terms_ns=terms,
        up_bytes=np.zeros(1),
        down_bytes=np.zeros(1),
        energy_j=inputs.rates.device_w * _seconds(inputs, terms[:, _HEAD]),
        price=np.zeros(1),
        loss=np.full(1, variant.loss),
    )


def _u_block(block: _Block) -> Placements:
    variant, start, end = block.inputs.variants[block.variant], block.start, block.end
    terms = np.zeros((len(block.inputs.levels), len(TERMS), len(start)))
    terms[:, _WORKER] = variant.worker.ns[:, start, end]
    terms[:, _TAIL] = variant.device.ns[:, end, -1]
    return _priced(
        block,
        terms=terms,
        up=variant.transfer.up[start, end],
        down=variant.transfer.down[start, end],
        group=np.full(len(start), WORKER),
    )


def _tier_block(block: _Block) -> Placements:
    variant, start, end = block.inputs.variants[block.variant], block.start, block.end
    transfer = variant.transfer
    terms = np.zeros((len(block.inputs.levels), len(TERMS), len(start)))
    terms[:, _WORKER] = variant.worker.ns[:, start, end]
    beyond = end < len(transfer.positions) - 1  # the cloud has a part
    relayed = start == end  # the edge passes messages on as they came
    if beyond.any():
        assert variant.cloud is not None  # PlacementInputs holds the cloud tier to its durations
        terms[:, _CLOUD] = variant.cloud.ns[:, end, -1]
        terms[:, _BACKHAUL] = np.where(beyond, _backhaul_ns(block, relayed), 0.0)
    return _priced(
        block,
        terms=terms,
        up=transfer.crossing[start],
        down=transfer.returned[start],
        group=np.where(beyond, np.where(relayed, CLOUD, WORKER_CLOUD), WORKER),
    )


def _backhaul_ns(block: _Block, relayed: npt.NDArray[np.bool_]) -> Floats:
    """Bytes between edge and cloud, both ways, and coding them anew where the edge has a part."""
    variant, way = block.inputs.variants[block.variant], block.inputs.codings[block.coding]
    crossing = variant.transfer.crossing[block.end]
    forth = crossing * way.ratio
    if block.quality >= 0:
        forth = np.where(relayed, float(variant.qualities[block.quality].payload_bytes), forth)
    wire = forth + variant.transfer.returned[block.end] * way.ratio + 2 * way.overhead_bytes
    coding = crossing * (way.worker_encode_ns_per_byte + way.worker_decode_ns_per_byte)
    return np.asarray(wire * (8e9 / block.inputs.backhaul_bps) + np.where(relayed, 0.0, coding))


def _priced(block: _Block, *, terms: Floats, up: Integers, down: Integers, group: Integers) -> Placements:
    """What both families share: the head, coding at both ends, wire bytes, energy and price."""
    inputs, variant, way = (
        block.inputs,
        block.inputs.variants[block.variant],
        block.inputs.codings[block.coding],
    )
    rates, column = inputs.rates, np.ones((len(inputs.levels), 1))
    encode, decode = column * way.device_encode_ns_per_byte * up, column * way.worker_decode_ns_per_byte * up
    sent, loss = up * way.ratio, variant.loss
    if block.quality >= 0:
        rung = variant.qualities[block.quality]
        encode, decode = (np.array([values]).T + 0.0 * up for values in (rung.encode_ns, rung.decode_ns))
        sent, loss = np.full(len(up), float(rung.payload_bytes)), loss + rung.loss
    packed, unpacked = down * way.worker_encode_ns_per_byte, down * way.device_decode_ns_per_byte
    terms[:, _HEAD] = variant.device.ns[:, 0, block.start]
    terms[:, _ENCODE], terms[:, _DECODE], terms[:, _REPLY] = encode, decode, packed + unpacked
    up_bytes = np.asarray(sent + way.overhead_bytes, dtype=np.float64)
    down_bytes = np.asarray(down * way.ratio + way.overhead_bytes, dtype=np.float64)
    at_home = terms[:, _HEAD] + encode + column * unpacked + terms[:, _TAIL]
    far = terms[:, _WORKER] + decode + column * packed
    return Placements(
        **_labels(block, group=group),
        terms_ns=terms,
        up_bytes=up_bytes,
        down_bytes=down_bytes,
        energy_j=rates.device_w * _seconds(inputs, at_home),
        price=rates.worker_price_per_s * _seconds(inputs, far)
        + rates.cloud_price_per_s * _seconds(inputs, terms[:, _CLOUD])
        + rates.price_per_byte * (up_bytes + down_bytes),
        loss=np.full(len(up), loss),
    )


def _labels(block: _Block, *, group: Integers) -> dict[str, Integers]:
    at = np.asarray(block.inputs.variants[block.variant].transfer.positions, dtype=np.int64)
    same = np.ones(len(block.start), dtype=np.int64)
    return {
        "variant": block.variant * same,
        "start": at[block.start],
        "end": at[block.end],
        "coding": block.coding * same,
        "quality": block.quality * same,
        "group": group,
    }


def _seconds(inputs: PlacementInputs, values_ns: Floats) -> Floats:
    return np.asarray(level_weights(inputs.levels) @ values_ns) / 1e9


def _joined(blocks: Sequence[Placements]) -> Placements:
    if not blocks or not sum(len(block) for block in blocks):
        raise PlacementError("no tier may run the model: allow the device or a worker")
    columns = {
        row.name: np.concatenate([getattr(block, row.name) for block in blocks], axis=-1)
        for row in fields(Placements)
    }
    return Placements(**columns)
