"""What must hold of placement, one random case at a time: the slow ways and the known results beside ours."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from bench.placement_brute import (
    Row,
    best_cost,
    chance,
    every_row,
    random_conditions,
    random_flow,
    random_inputs,
)
from bench.placement_oracle import AdditiveCost, least_cost
from inference.graph.flow import Flow, FlowOperator, FlowTensor
from inference.placement.decision import Chooser
from inference.placement.families import Placements, three_tiers, u_shape
from inference.placement.inputs import Coding, Conditions, ModelVariant, PlacementInputs, Tier, Wish
from inference.placement.survivors import survivors
from inference.profile.durations import DurationTable
from inference.split.traffic import transfer_bytes

FAMILIES: dict[str, Callable[[PlacementInputs], Placements]] = {"u-shape": u_shape, "three-tier": three_tiers}
CLOSE = 1e-9  # relative: the same sums in another order


def same_as_brute_force(rng: np.random.Generator, *, family: str, chain: bool, operators: int = 7) -> bool:
    """Whether one random case has the brute-force optimum: envelope, quantiles and the whole objective."""
    flows = [random_flow(rng, operators=int(rng.integers(2, operators + 1)), chain=chain) for _ in range(2)]
    flows = flows[: int(rng.integers(1, 3))]
    inputs = random_inputs(rng, flows, cloud=family == "three-tier")
    placements = FAMILIES[family](inputs)
    road = random_conditions(rng, bps=float(10 ** rng.uniform(8, 12)))
    rows = list(every_row(inputs, flows, road, family=family))
    wish = Wish(
        deadline_ns=float(rng.uniform(0.3, 3) * min(row.quantiles_ns[1] for row in rows)),
        joule_ns=float(rng.choice([0, 1e8])),
        price_ns=float(rng.choice([0, 1e8])),
        loss_ns=float(rng.choice([0, 1e3])),
        loss_limit=float(rng.choice([0.03, np.inf])),
    )
    best, cost = best_cost(rows, inputs, wish)
    decision = Chooser(placements, inputs=inputs, wishes=(Wish(deadline_ns=1.0), wish)).decide(road, wish)
    named = {row.name: row for row in rows}
    taken = named.get(_name(placements, decision.index))
    if taken is None or not len(rows) == len(placements) == len(named):
        return False
    wanted = [chance(taken, inputs.levels, wish.deadline_ns), cost]
    found = bool(np.isclose([decision.chance, decision.cost_ns], wanted, rtol=CLOSE).all())
    return (
        found
        and decision.chance >= best - wish.slack - CLOSE
        and all(_envelope_agrees(placements, road, rows, level) for level in range(3))
    )


def _name(placements: Placements, index: int) -> tuple[int, ...]:
    columns = (placements.variant, placements.start, placements.end, placements.coding, placements.quality)
    return tuple(int(column[index]) for column in columns)


def _envelope_agrees(placements: Placements, road: Conditions, rows: list[Row], level: int) -> bool:
    near = np.array([0.0, *[road.rtt_ns[level]] * 3])
    near += np.array([0.0, *[road.queue_ns[level]] * 2, 0.0])
    near += np.array([0.0, 0.0, *[road.cloud_rtt_ns[level] + road.cloud_queue_ns[level]] * 2])
    fixed = placements.base_ns[level] + near[placements.group]
    found = survivors(placements, fixed_ns=fixed, downlink_bps=road.downlink_bps[level])
    best = min(row.quantiles_ns[level] for row in rows)
    chosen = {row.name: row for row in rows}[_name(placements, found.best(road.uplink_bps[level]))]
    times = [found.latency_ns(road.uplink_bps[level]), chosen.quantiles_ns[level]]
    return bool(np.isclose(times, best, rtol=CLOSE).all())


def bytes_never_fall(placements: Placements, *, rates: int = 500) -> bool:
    """Whether the optimum of plain minimisation ships no less at each faster uplink, and equals the envelope."""
    fixed = placements.base_ns[0] + np.where(placements.group > 0, 100.0, 0.0)
    road = placements.up_bytes + placements.down_bytes
    found = survivors(placements, fixed_ns=fixed, down_ratio=1.0)
    shipped = 0.0
    for bps in np.geomspace(1e6, 1e14, rates).tolist():
        times = fixed + road * 8e9 / bps
        plain, ours = int(times.argmin()), found.best(bps)
        if road[ours] < shipped or not np.isclose(times[ours], times[plain], rtol=CLOSE):
            return False
        shipped = float(road[ours])
    return True


def additive_case(
    rng: np.random.Generator, *, chain: bool, cloud: bool, operators: int = 9
) -> tuple[float, int, int]:
    """One-way placements of additive cost: our best interval, the minimum cut, and the best of all assignments.

    The last one is -1 where there are too many to try.
    """
    flow = random_flow(rng, operators=int(rng.integers(2, operators + 1)), chain=chain)
    flow = Flow(
        file_format="tflite", tensors=flow.tensors, operators=flow.operators, inputs=flow.inputs, outputs=()
    )
    tiers = 3 if cloud else 2
    run = [[int(rng.integers(1, 1200 // (tier + 1))) for _ in flow.operators] for tier in range(tiers)]
    sizes = [tensor.payload_bytes for tensor in flow.tensors]
    cost = AdditiveCost(run=run, send=[sizes, [2 * size for size in sizes]][: tiers - 1])
    ours = interval_optimum(flow, cost)
    tried = -1 if tiers ** len(flow.operators) > 800 else _try_all(flow, cost)
    return ours, least_cost(flow, cost), tried


def interval_optimum(flow: Flow, cost: AdditiveCost) -> float:
    """The best three-tier placement of additive cost where a byte takes 1 ns on the first link and 2 on the next."""
    prefixes = [np.concatenate([[0], np.cumsum(row)]) for row in cost.run]
    tables = [DurationTable.from_prefixes(prefix[None].astype(float)) for prefix in prefixes]
    tiers: set[Tier] = {"device", "worker"}
    if len(tables) == 3:
        tiers.add("cloud")
    transfer = transfer_bytes(flow, range(len(flow.operators) + 1))
    variant = ModelVariant(
        name="additive",
        # Results are left out of additive cost; a part that returns nothing may still run.
        transfer=replace(transfer, runs=np.ones_like(transfer.runs)),
        device=tables[0],
        worker=tables[1],
        cloud=tables[2] if len(tables) == 3 else None,
    )
    inputs = PlacementInputs(
        variants=(variant,), levels=(0.5,), codings=(Coding(name="raw"),), tiers=frozenset(tiers), backhaul_bps=4e9
    )  # fmt: skip
    placements = three_tiers(inputs)
    found = survivors(placements, fixed_ns=placements.base_ns[0], down_ratio=1.0)
    return found.latency_ns(8e9)


def _try_all(flow: Flow, cost: AdditiveCost) -> int:
    best = -1
    readers: list[list[int]] = [[] for _ in flow.tensors]
    made = [-1] * len(flow.tensors)
    for number, operator in enumerate(flow.operators):
        for tensor in operator.inputs:
            readers[tensor].append(number)
        for tensor in operator.outputs:
            made[tensor] = number
    live = [
        (tensor, made[tensor], readers[tensor]) for tensor in range(len(flow.tensors))
        if readers[tensor] and not flow.tensors[tensor].constant
    ]  # fmt: skip
    for tier in product(range(len(cost.run)), repeat=len(flow.operators)):
        total = sum(cost.run[tier[number]][number] for number in range(len(tier)))
        for tensor, maker, reading in live:
            at = tier[maker] if maker >= 0 else 0
            if any(tier[reader] < at for reader in reading):
                break
            farthest = max(tier[reader] for reader in reading)
            total += sum(cost.send[link][tensor] for link in range(at, farthest))
        else:
            best = total if best < 0 else min(best, total)
    return best


def returns_for_free() -> tuple[int, int, float]:
    """The known counter-example in tenths: without reverse arcs, with them, and our one-way optimum."""
    flow = Flow(
        file_format="tflite",
        tensors=tuple(FlowTensor(name=f"t{number}", shape=(10,), dtype="int8") for number in range(3)),
        operators=tuple(
            FlowOperator(kind="MADE", inputs=(number,), outputs=(number + 1,)) for number in range(2)
        ),
        inputs=(0,),
        outputs=(),
    )
    cost = AdditiveCost(run=[[100, 1], [1, 100]], send=[[10, 10, 10]])
    return least_cost(flow, cost, one_way=False), least_cost(flow, cost), interval_optimum(flow, cost)
