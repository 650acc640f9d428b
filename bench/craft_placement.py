"""Measures placement: equality with the slow ways, the published table, the property of bytes, decision time.

``python -m bench.craft_placement --out FILE``.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.placement_ans import EXPECTED, ans_survivors, differences
from bench.placement_brute import (
    best_cost,
    chance,
    every_row,
    random_conditions,
    random_flow,
    random_inputs,
)
from bench.placement_oracle import AdditiveCost, least_cost
from inference.flow import Flow, FlowOperator, FlowTensor
from inference.placement import Coding, ModelVariant, PlacementInputs, Tier, Wish
from inference.placement_bytes import transfer_bytes
from inference.placement_decision import Chooser
from inference.placement_durations import DurationTable
from inference.placement_families import Placements, three_tiers, u_shape
from inference.placement_survivors import survivors

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
    settled = (wish, Wish(deadline_ns=1.0)) if rng.random() < 0.5 else ()
    decision = Chooser(placements, inputs=inputs, wishes=settled).decide(road, wish)
    named = {row.name: row for row in rows}
    taken = named.get(_name(placements, decision.index))
    found = len(rows) == len(placements) == len(named) and taken is not None
    if not found:
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


def _envelope_agrees(placements: Placements, road: Any, rows: list[Any], level: int) -> bool:
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


def decision_times_us(
    rng: np.random.Generator, *, operators: int = 60, decisions: int = 5000
) -> dict[str, Any]:
    """How long one decision takes with the survivors of a model of this many operators."""
    flows = [random_flow(rng, operators=operators, chain=False) for _ in range(2)]
    inputs = random_inputs(rng, flows, cloud=False)
    placements = u_shape(inputs)
    wish = Wish(deadline_ns=3000.0, joule_ns=1e8)
    chooser = Chooser(placements, inputs=inputs, wishes=(wish,))
    road = [random_conditions(rng, bps=float(10 ** rng.uniform(8, 12))) for _ in range(64)]
    found = survivors(placements, fixed_ns=placements.base_ns[0], down_ratio=1.0)
    rows: dict[str, list[int]] = {"decide": [], "decide_cpu": [], "bisect": []}
    for number in range(decisions):
        cpu, begun = time.thread_time_ns(), time.perf_counter_ns()
        chooser.decide(road[number % 64], wish)
        ended = time.perf_counter_ns()
        found.best(road[number % 64].uplink_bps[0])
        rows["bisect"].append(time.perf_counter_ns() - ended)
        rows["decide"].append(ended - begun)
        rows["decide_cpu"].append(
            time.thread_time_ns() - cpu
        )  # the bisection included, waiting for a core not
    return {
        "placements": len(placements),
        "kept": len(chooser.kept),
        "survivors": len(found.indices),
        "decisions": decisions,
    } | {
        f"{name}_us": {f"p{at}": round(float(np.percentile(values, at)) / 1e3, 2) for at in (50, 99)}
        for name, values in rows.items()
    }


def measure(*, cases: int = 1000, seed: int = 7, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """All rows of the report's key ``placement``."""
    rng = np.random.default_rng(seed)
    brute = {}
    for family, chain in product(FAMILIES, (True, False)):
        name = f"{family} {'chain' if chain else 'dag'}"
        equal = sum(same_as_brute_force(rng, family=family, chain=chain) for _ in range(cases))
        brute[name] = {"cases": cases, "equal": equal}
        tell(f"{name}: {equal} of {cases} equal to brute force")
    monotone = sum(
        bytes_never_fall(
            u_shape(random_inputs(rng, [random_flow(rng, operators=8, chain=False)], cloud=False))
        )
        for _ in range(cases)
    )
    oracle = {}
    for cloud, chain in product((False, True), (True, False)):
        rows = [additive_case(rng, chain=chain, cloud=cloud) for _ in range(cases)]
        oracle[f"{3 if cloud else 2} tiers {'chain' if chain else 'dag'}"] = {
            "cases": cases,
            "interval_equals_min_cut": sum(ours == cut for ours, cut, _ in rows),
            "interval_below_min_cut": sum(ours < cut for ours, cut, _ in rows),
            "tried_all": sum(tried >= 0 for *_, tried in rows),
            "min_cut_equals_tried": sum(tried >= 0 and cut == tried for _, cut, tried in rows),
        }
    free, one_way, ours = returns_for_free()
    return {
        "brute_force": brute,
        "bytes_never_fall": {"cases": cases, "held": monotone},
        "min_cut": oracle,
        "returns_for_free": {"without_reverse_arcs": free / 10, "min_cut": one_way / 10, "ours": ours / 10},
        "ans": [
            {
                "net": row.net,
                "wire": row.wire,
                "differences": differences(row),
                "switch_mbps": [
                    round(bps / 1e6, 3) for bps in ans_survivors(row.net, wire=row.wire)[1].switch_bps
                ],
                "published_mbps": list(row.switch_mbps),
            }
            for row in EXPECTED
        ],
        "decision": decision_times_us(rng),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=1000)
    arguments = parser.parse_args()
    arguments.out.write_text(json.dumps(measure(cases=arguments.cases), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
