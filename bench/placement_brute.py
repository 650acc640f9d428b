"""Placements the slow way: random models, and plain loops over every pair of cuts with sets of tensors.

Shares no line with ``inference/placement/`` but the vocabulary; what both say must be equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.placement.inputs import (
    Coding,
    Conditions,
    InputQuality,
    ModelVariant,
    PlacementInputs,
    Rates,
    Wish,
    level_weights,
)
from inference.profile.durations import DurationTable
from inference.split.traffic import transfer_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One placement: its name, its time at each level under the conditions, and what else it costs."""

    name: tuple[int, ...]
    quantiles_ns: tuple[float, ...]
    joules: float
    price: float
    loss: float


def random_flow(rng: np.random.Generator, *, operators: int, chain: bool) -> Flow:
    """A chain, or an acyclic graph in execution order with skips, constants, early outputs and dead ends."""
    tensors = [_tensor(rng, 0)]
    inputs = [0]
    if not chain and rng.random() < 0.3:
        tensors.append(_tensor(rng, 1))
        inputs.append(1)
    made: list[FlowOperator] = []
    for _ in range(operators):
        known = len(tensors)
        wanted = 1 if chain else int(rng.integers(1, 4))
        reads = (known - 1,) if chain else tuple(int(rng.integers(0, known)) for _ in range(wanted))
        yields = 1 if chain else 1 + int(rng.random() < 0.2)
        constant = not chain and (rng.random() < 0.05 or all(tensors[index].constant for index in reads))
        tensors += [_tensor(rng, known + extra, constant=constant) for extra in range(yields)]
        made.append(FlowOperator(kind="MADE", inputs=reads, outputs=tuple(range(known, known + yields))))
    used = {index for operator in made for index in operator.inputs}
    outputs = [
        index for index, tensor in enumerate(tensors)
        if not tensor.constant and index not in inputs and (index not in used or rng.random() < 0.1)
    ]  # fmt: skip
    return Flow(
        file_format="tflite",
        tensors=tuple(tensors),
        operators=tuple(made),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )


def _tensor(rng: np.random.Generator, number: int, *, constant: bool = False) -> FlowTensor:
    return FlowTensor(name=f"t{number}", shape=(int(rng.integers(1, 400)),), dtype="int8", constant=constant)


def random_inputs(rng: np.random.Generator, flows: list[Flow], *, cloud: bool) -> PlacementInputs:
    """Variants of these flows with arbitrary measured durations, codings, ladder and rates."""
    levels = (0.5, 0.95, 0.99)
    rungs = tuple(
        InputQuality(
            name=f"q{number}",
            payload_bytes=int(rng.integers(1, 300)),
            encode_ns=tuple(np.sort(rng.uniform(0, 300, 3))),
            decode_ns=tuple(np.sort(rng.uniform(0, 300, 3))),
            loss=float(rng.uniform(0, 0.1)),
        )
        for number in range(int(rng.integers(0, 3)))
    )
    variants = []
    for number, flow in enumerate(flows):
        inner = [at for at in range(1, len(flow.operators)) if rng.random() < 0.8]
        positions = (0, *inner, len(flow.operators))
        speeds = (2000.0, 500.0, 150.0)
        tables = [_durations(rng, len(positions), speed) for speed in speeds]
        variants.append(
            ModelVariant(
                name=f"v{number}",
                transfer=transfer_bytes(flow, positions),
                device=tables[0],
                worker=tables[1],
                cloud=tables[2] if cloud else None,
                loss=0.02 * number,
                qualities=rungs,
            )
        )
    codings = (
        Coding(name="raw", overhead_bytes=int(rng.integers(0, 30))),
        Coding(
            name="packed",
            ratio=float(rng.uniform(0.2, 0.9)),
            device_encode_ns_per_byte=float(rng.uniform(0, 2)),
            worker_decode_ns_per_byte=float(rng.uniform(0, 1)),
            worker_encode_ns_per_byte=float(rng.uniform(0, 1)),
            device_decode_ns_per_byte=float(rng.uniform(0, 2)),
        ),
    )
    return PlacementInputs(
        variants=tuple(variants),
        levels=levels,
        codings=codings,
        rates=Rates(
            device_w=2.0, radio_w=0.7, worker_price_per_s=3.0, cloud_price_per_s=1.0, price_per_byte=1e-9
        ),
        tiers=frozenset({"device", "worker", "cloud"} if cloud else {"device", "worker"}),
        backhaul_bps=float(rng.uniform(1e9, 1e11)),
    )


def _durations(rng: np.random.Generator, count: int, scale: float) -> DurationTable:
    ns = np.triu(rng.uniform(0.1, 1.0, (3, count, count)) * scale, k=1)
    return DurationTable(ns=np.cumsum(ns, axis=0))


def random_conditions(rng: np.random.Generator, *, bps: float) -> Conditions:
    """A road whose pessimistic values are worse, at about this uplink."""
    down = bps * float(rng.uniform(0.5, 3))

    def worse(scale: float) -> tuple[float, ...]:
        return tuple(np.sort(rng.uniform(0, scale, 3)))

    slow = np.cumprod([1.0, *rng.uniform(0.3, 1.0, 2)])
    return Conditions(
        uplink_bps=tuple(bps * slow),
        downlink_bps=tuple(down * slow),
        rtt_ns=worse(300),
        queue_ns=worse(100),
        cloud_rtt_ns=worse(100),
        cloud_queue_ns=worse(50),
    )


def every_row(
    inputs: PlacementInputs, flows: list[Flow], conditions: Conditions, *, family: str
) -> Iterator[Row]:
    """Each placement of a family, computed on its own."""
    for number, flow in enumerate(flows):
        at = inputs.variants[number].transfer.positions
        last = len(at) - 1
        device = inputs.variants[number].device.ns
        joules = inputs.rates.device_w * _mean(inputs, device[:, 0, last])
        loss = inputs.variants[number].loss
        yield Row(
            name=(number, at[last], at[last], -1, -1), quantiles_ns=tuple(device[:, 0, last]), joules=joules,
            price=0.0, loss=loss,
        )  # fmt: skip
        for i in range(last):
            for j in range(i, last + 1):
                if i < j and not _is_model(flow, at[i], at[j]):
                    continue
                if family == "u-shape" and i == j:
                    continue
                whole = j in {0, last} if family == "three-tier" else True
                for coding in range(len(inputs.codings)):
                    for rung in range(-1, len(inputs.variants[number].qualities) if i == 0 and whole else 0):
                        yield _row(inputs, flow, conditions, family, (number, i, j, coding, rung))


def _row(inputs: PlacementInputs, flow: Flow, road: Conditions, family: str, name: tuple[int, ...]) -> Row:
    number, i, j, coding, rung = name
    variant, way, rates = inputs.variants[number], inputs.codings[coding], inputs.rates
    at, last = variant.transfer.positions, len(variant.transfer.positions) - 1
    tiers = family == "three-tier"
    up = _size(flow, _needed(flow, at[i]) if tiers else _entering(flow, at[i], at[j]))
    down = _size(flow, _leaving(flow, at[i], len(flow.operators) if tiers else at[j]))
    sent = up * way.ratio + way.overhead_bytes
    loss = variant.loss
    if rung >= 0:
        sent = variant.qualities[rung].payload_bytes + way.overhead_bytes
        loss += variant.qualities[rung].loss
    back = down * way.ratio + way.overhead_bytes
    beyond, relayed = tiers and j < last, i == j
    quantiles, joules, price, air = [], [], [], []
    for level in range(len(inputs.levels)):
        encode, decode = way.device_encode_ns_per_byte * up, way.worker_decode_ns_per_byte * up
        if rung >= 0:
            encode, decode = (
                variant.qualities[rung].encode_ns[level],
                variant.qualities[rung].decode_ns[level],
            )
        home = variant.device.ns[level, 0, i] + encode + way.device_decode_ns_per_byte * down
        home += 0 if tiers else variant.device.ns[level, j, last]
        far = variant.worker.ns[level, i, j] + decode + way.worker_encode_ns_per_byte * down
        cloud = backhaul = 0.0
        if beyond:
            assert variant.cloud is not None
            cloud = variant.cloud.ns[level, j, last]
            passed = _size(flow, _needed(flow, at[j]))
            forth = passed * way.ratio + way.overhead_bytes
            if rung >= 0 and relayed:
                forth = variant.qualities[rung].payload_bytes + way.overhead_bytes
            results = _size(flow, _leaving(flow, at[j], len(flow.operators)))
            backhaul = (forth + results * way.ratio + way.overhead_bytes) * 8e9 / inputs.backhaul_bps
            if not relayed:
                backhaul += passed * (way.worker_encode_ns_per_byte + way.worker_decode_ns_per_byte)
        flight = sent * 8e9 / road.uplink_bps[level] + back * 8e9 / road.downlink_bps[level]
        wait = road.rtt_ns[level]
        wait += 0 if beyond and relayed else road.queue_ns[level]
        wait += road.cloud_rtt_ns[level] + road.cloud_queue_ns[level] if beyond else 0
        quantiles.append(home + far + cloud + backhaul + flight + wait)
        joules.append(rates.device_w * home + rates.radio_w * flight)
        price.append(rates.worker_price_per_s * far + rates.cloud_price_per_s * cloud)
        air.append(flight)
    return Row(
        name=(number, at[i], at[j], coding, rung),
        quantiles_ns=tuple(quantiles),
        joules=_mean(inputs, np.array(joules)),
        price=_mean(inputs, np.array(price)) + rates.price_per_byte * (sent + back),
        loss=loss,
    )


def chance(row: Row, levels: tuple[float, ...], deadline_ns: float) -> float:
    """P(T <= deadline) by walking the straight pieces between the levels."""
    low_ns, low = 0.0, 0.0
    for level, value in zip(levels, row.quantiles_ns, strict=True):
        if deadline_ns < value:
            return low + (level - low) * (deadline_ns - low_ns) / (value - low_ns)
        low_ns, low = value, level
    return levels[-1]


def best_cost(rows: list[Row], inputs: PlacementInputs, wish: Wish) -> tuple[float, float]:
    """The best chance, and the smallest cost of those that are about as good."""
    allowed = [row for row in rows if row.loss <= wish.loss_limit]
    chances = [chance(row, inputs.levels, wish.deadline_ns) for row in allowed]
    best = max(chances)
    weights = level_weights(inputs.levels)
    costs = [
        float(weights @ np.array(row.quantiles_ns)) + wish.joule_ns * row.joules + wish.price_ns * row.price
        + wish.loss_ns * row.loss
        for row, value in zip(allowed, chances, strict=True) if value >= best - wish.slack
    ]  # fmt: skip
    return best, min(costs)


def _mean(inputs: PlacementInputs, values_ns: np.ndarray) -> float:
    return float(level_weights(inputs.levels) @ values_ns) / 1e9


def _size(flow: Flow, tensors: set[int]) -> int:
    return sum(flow.tensors[index].payload_bytes for index in tensors if not flow.tensors[index].constant)


def _made(flow: Flow, start: int, end: int) -> set[int]:
    return {index for operator in flow.operators[start:end] for index in operator.outputs}


def _read(flow: Flow, start: int, end: int) -> set[int]:
    return {index for operator in flow.operators[start:end] for index in operator.inputs}


def _entering(flow: Flow, start: int, end: int) -> set[int]:
    return _read(flow, start, end) & (_made(flow, 0, start) | set(flow.inputs))


def _needed(flow: Flow, start: int) -> set[int]:
    return _entering(flow, start, len(flow.operators))


def _leaving(flow: Flow, start: int, end: int) -> set[int]:
    return _made(flow, start, end) & (_read(flow, end, len(flow.operators)) | set(flow.outputs))


def _is_model(flow: Flow, start: int, end: int) -> bool:
    parts = (_entering(flow, start, end), _leaving(flow, start, end))
    return all(any(not flow.tensors[index].constant for index in part) for part in parts)
