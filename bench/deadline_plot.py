"""The deadline in one picture: hit rate and local runs of every policy by link, and whether stated chances were kept.

Bars of one link are means over device classes and deadlines. The thin lines are paired 95 % intervals of the distance
to the chosen policy: one that does not touch its bar's top is sure to differ. Refuses to draw what was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

CHOSEN = "deadline"
COLOURS = {
    "deadline": "#2ca02c",
    "always-duplicate": "#8c8c8c",
    "offload": "#1f77b4",
    "p95-hedge": "#9467bd",
    "rtt-threshold": "#ff7f0e",
    "local": "#d62728",
}
WIDTH = 0.8  # of the room of one link
SIZE_IN = (13.0, 12.0)
DPI = 110
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def draw(report: Mapping[str, Any], *, out: Path) -> bool:
    """Draw what a report holds; False, and nothing is written, where it holds neither part."""
    by_trace: Rows = (report.get("grid") or {}).get("by_trace") or {}
    calibration: Mapping[str, Any] = report.get("calibration") or {}
    if not by_trace and not calibration.get("bins"):
        return False
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, height_ratios=(1, 1, 1.1))
    _bars(top, by_trace, "hit", title="frames answered from their own pixels in time")
    if by_trace:
        figure.legend(*top.get_legend_handles_labels(), ncols=len(COLOURS), loc="outside upper right")
    _bars(middle, by_trace, "local_runs", title="runs on the headset per frame")
    _reliability(bottom, calibration)
    figure.savefig(out, dpi=DPI)
    return True


def _bars(axes: Axes, by_trace: Rows, name: str, *, title: str) -> None:
    axes.set_title(title, loc="left")
    traces = list(by_trace)
    policies = [row["policy"] for row in next(iter(by_trace.values()), [])]
    for number, policy in enumerate(policies):
        rows = [next(row for row in by_trace[trace] if row["policy"] == policy) for trace in traces]
        places = [place + WIDTH * ((number + 0.5) / len(policies) - 0.5) for place in range(len(traces))]
        axes.bar(
            places,
            [row[name] for row in rows],
            width=WIDTH / len(policies),
            color=COLOURS.get(policy, "#17becf"),
            label=policy,
            yerr=_errors(rows, name) if policy != CHOSEN else None,
            error_kw={"elinewidth": 0.8, "ecolor": "#222222"},
        )
    axes.set_xticks(range(len(traces)), traces)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    if policies:
        lowest = min(row[name] for rows in by_trace.values() for row in rows)
        axes.set_ylim(max(0.0, lowest - 0.1) if name == "hit" else 0.0, 1.02)


def _errors(rows: Sequence[Mapping[str, Any]], name: str) -> list[list[float]] | None:
    """Below and above each bar; None where no interval was made."""
    key = f"{name}_less_{CHOSEN}"
    if not all(key in row for row in rows):
        return None
    apart = [row[key] for row in rows]
    return [[max(0.0, at - low) for at, low, _ in apart], [max(0.0, high - at) for at, _, high in apart]]


def _reliability(axes: Axes, calibration: Mapping[str, Any]) -> None:
    axes.set_title("chance of a worker's answer in time: stated before, and what came", loc="left")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    rows = calibration.get("bins") or []
    if rows:
        most = max(row["frames"] for row in rows)
        axes.bar(
            [row["from"] + 0.05 for row in rows],
            [0.25 * row["frames"] / most for row in rows],
            width=0.09,
            color="#dddddd",
            label=f"frames, at most {most}",
        )
        stated, came = [row["stated"] for row in rows], [row["came"] for row in rows]
        found = calibration["together"]["all"]
        label = f"skill {found['skill']}, error {found['error']}"
        axes.plot(stated, came, marker="o", color=COLOURS[CHOSEN], label=label)
        axes.legend(loc="upper left", fontsize="small")
    axes.set_xlabel("stated")
    axes.set_ylabel("came in time")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
