"""Measures placement: equality with the slow ways, the published table, the property of bytes, decision time.

``python -m bench.craft_placement --out FILE``.
"""

import argparse
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.placement_ans import EXPECTED, ans_survivors, differences
from bench.placement_brute import random_flow, random_inputs
from bench.placement_checks import (
    FAMILIES,
    additive_case,
    bytes_never_fall,
    returns_for_free,
    same_as_brute_force,
)
from bench.placement_timing import chooser_build, decision_times_us, large_models
from inference.placement.families import u_shape


def brute_force_rows(rng: np.random.Generator, *, cases: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Both families on chains and graphs."""
    rows = {}
    for family, chain in product(FAMILIES, (True, False)):
        name = f"{family} {'chain' if chain else 'dag'}"
        equal = sum(same_as_brute_force(rng, family=family, chain=chain) for _ in range(cases))
        rows[name] = {"cases": cases, "equal": equal}
        tell(f"{name}: {equal} of {cases} equal to brute force")
    return rows


def oracle_rows(rng: np.random.Generator, *, cases: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The minimum cut beside our best interval: equal on chains; on graphs it may also cut across the order."""
    rows = {}
    for cloud, chain in product((False, True), (True, False)):
        found = [additive_case(rng, chain=chain, cloud=cloud) for _ in range(cases)]
        name = f"{3 if cloud else 2} tiers {'chain' if chain else 'dag'}"
        rows[name] = {
            "cases": cases,
            "expected": "equal"
            if chain
            else "min cut at most ours: it need not follow the order of operators",
            "interval_equals_min_cut": sum(ours == cut for ours, cut, _ in found),
            "min_cut_below_interval": sum(cut < ours for ours, cut, _ in found),
            "interval_below_min_cut": sum(ours < cut for ours, cut, _ in found),
            "tried_all": sum(tried >= 0 for *_, tried in found),
            "min_cut_equals_tried": sum(tried >= 0 and cut == tried for _, cut, tried in found),
        }
        tell(f"{name}: {rows[name]['interval_equals_min_cut']} of {cases} equal to the minimum cut")
    return rows


def ans_rows() -> list[dict[str, Any]]:
    """The published table and where we differ from it."""
    return [
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
    ]


def measure(
    *,
    cases: int = 1000,
    oracle_cases: int = 100,
    decisions: int = 5000,
    large: bool = True,
    seed: int = 7,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """All rows of the report's key ``placement``; without ``large``, no chooser is built for a large model."""
    rng = np.random.default_rng(seed)
    brute = brute_force_rows(rng, cases=cases, tell=tell)
    monotone = 0
    for _ in range(cases):
        flow = random_flow(rng, operators=8, chain=False)
        monotone += bytes_never_fall(u_shape(random_inputs(rng, [flow], cloud=False)))
    tell(f"bytes never fell in {monotone} of {cases} models")
    free, one_way, ours = returns_for_free()
    return {
        "brute_force": brute,
        "bytes_never_fall": {"cases": cases, "held": monotone},
        "min_cut": oracle_rows(rng, cases=oracle_cases, tell=tell),
        "returns_for_free": {"without_reverse_arcs": free / 10, "min_cut": one_way / 10, "ours": ours / 10},
        "ans": ans_rows(),
        "decision": decision_times_us(rng, decisions=decisions),
        "chooser": [chooser_build(rng, path) for path in (large_models() if large else ())],
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
