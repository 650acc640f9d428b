"""The deadline in one picture: policies by link, class and deadline, an outage, simulator and reality, chances, overload.

Lays out the panels of ``bench.deadline_panels`` and of ``bench.deadline_policies_plot``; a part that was not measured
leaves a panel that says so. Refuses to draw where nothing was measured that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.deadline_panels import cells, chances, outage, overload
from bench.deadline_policies_plot import hits, means

SIZE_IN = (17.0, 19.0)
DPI = 100
SHOWN = ("grid", "calibration", "blackhole", "cells", "overload")


def draw(report: Mapping[str, Any], *, out: Path) -> bool:
    """Draw what a report holds; False, and nothing is written, where it holds no part that is shown."""
    parts: dict[str, Mapping[str, Any]] = {name: report.get(name) or {} for name in SHOWN}
    if not any(parts.values()):
        return False
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    top, *rows = figure.subfigures(4, 1, height_ratios=(2.3, 1, 1, 1.1), squeeze=False)[:, 0]
    hits(top, parts["grid"])
    means(rows[0], parts["grid"])
    left, right = rows[1].subplots(1, 2, width_ratios=(2, 1))
    outage(left, parts["blackhole"])
    cells(right, parts["cells"])
    left, right = rows[2].subplots(1, 2, width_ratios=(1, 1))
    chances(left, parts["calibration"])
    overload(right, parts["overload"])
    figure.suptitle(_unanswered(report.get("sim") or {}), fontsize="large")
    figure.savefig(out, dpi=DPI)
    return True


def _unanswered(sim: Mapping[str, Any]) -> str:
    """What is promised, in a line; empty where it was not measured."""
    rows = [
        f"{row['unanswered']:,} of {row['frames']:,} at {row['deadline_ms']} ms"
        for row in sim.get("rows", ())
        if row["host"] == "prompt"
    ]
    return f"frames without an answer in time, simulated with every fault: {'; '.join(rows)}" if rows else ""
