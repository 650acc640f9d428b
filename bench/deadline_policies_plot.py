"""Panels of the comparison of policies: hit rate by class, deadline and link, and two means by link.

The thin lines are paired 95 % intervals of the distance to the chosen policy, drawn around each policy's own dot: one
that does not reach the chosen policy's dot is sure to differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import PercentFormatter

CHOSEN = "deadline"
LOOKS = {  # colour, and the mark of its dots: policies often hit alike, and must be told apart where they do
    "deadline": ("#2ca02c", "D"),
    "always-duplicate": ("#8c8c8c", "s"),
    "offload": ("#1f77b4", "^"),
    "p95-hedge": ("#9467bd", "v"),
    "rtt-threshold": ("#ff7f0e", "P"),
    "local": ("#d62728", "o"),
}
OTHER_LOOK = ("#17becf", "x")
LEAST_SPAN = 0.02  # of an axis: less than two points are no difference to be drawn large
ROOM = 0.75  # of one link's place
MEANS = {
    "by_worker": "answered in time by the worker's better model, mean over classes and deadlines",
    "local_runs": "runs on the headset per frame, mean over classes and deadlines",
}
Row = Mapping[str, Any]


def hits(figure: SubFigure, grid: Mapping[str, Any]) -> None:
    """One panel for each class and deadline."""
    rows: Sequence[Row] = grid.get("rows", ())
    if not rows:
        _missing(figure.subplots(), "grid")
        return
    devices, deadlines = _each(rows, "device"), _each(rows, "deadline_ms")
    panels = figure.subplots(len(devices), len(deadlines), sharex=True, squeeze=False)
    for line, device in zip(panels, devices, strict=True):
        for axes, deadline_ms in zip(line, deadlines, strict=True):
            own = [row for row in rows if row["device"] == device and row["deadline_ms"] == deadline_ms]
            _dots(axes, own)
            axes.set_title(f"{device}, {deadline_ms} ms", loc="left", fontsize="medium")
    figure.suptitle(
        "frames answered from their own pixels in time, with paired 95 % intervals", x=0.01, ha="left"
    )
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="outside upper right")


def _dots(axes: Axes, rows: Sequence[Row]) -> None:
    traces, policies = _each(rows, "trace"), _each(rows, "policy")
    for number, policy in enumerate(policies):
        own = [row for row in rows if row["policy"] == policy]
        colour, mark = LOOKS.get(policy, OTHER_LOOK)
        axes.errorbar(
            _places(len(traces), number, of=len(policies)),
            [row["hit"] for row in own],
            yerr=None if policy == CHOSEN else _errors(own, "hit"),
            fmt=mark,
            color=colour,
            markersize=5,
            elinewidth=1,
            label=policy,
        )
    span = max(LEAST_SPAN, 1 - min(row["hit"] for row in rows))
    axes.set_ylim(1 - 1.1 * span, 1 + 0.1 * span)
    _finish(axes, traces, decimals=0 if span > 3 * LEAST_SPAN else 1)


def means(figure: SubFigure, grid: Mapping[str, Any]) -> None:
    """Bars by link."""
    by_trace: Mapping[str, Sequence[Row]] = grid.get("by_trace") or {}
    panels = figure.subplots(1, len(MEANS), squeeze=False)[0]
    for axes, (name, title) in zip(panels, MEANS.items(), strict=True):
        axes.set_title(title, loc="left", fontsize="medium")
        if by_trace:
            _bars(axes, by_trace, name)
        else:
            _missing(axes, "grid")


def _bars(axes: Axes, by_trace: Mapping[str, Sequence[Row]], name: str) -> None:
    policies = [row["policy"] for row in next(iter(by_trace.values()))]
    for number, policy in enumerate(policies):
        own = [next(row for row in rows if row["policy"] == policy) for rows in by_trace.values()]
        axes.bar(
            _places(len(by_trace), number, of=len(policies)),
            [row[name] for row in own],
            width=ROOM / len(policies),
            color=LOOKS.get(policy, OTHER_LOOK)[0],
            yerr=None if policy == CHOSEN else _errors(own, name),
            error_kw={"elinewidth": 0.8, "ecolor": "#222222"},
        )
    axes.set_ylim(0, 1.02)
    _finish(axes, list(by_trace))


def _errors(rows: Sequence[Row], name: str) -> list[list[float]] | None:
    """Below and above each value; None where no interval was made."""
    key = f"{name}_less_{CHOSEN}"
    if not all(key in row for row in rows):
        return None
    apart = [row[key] for row in rows]
    return [[max(0.0, at - low) for at, low, _ in apart], [max(0.0, high - at) for at, _, high in apart]]


def _places(links: int, number: int, *, of: int) -> list[float]:
    return [place + ROOM * ((number + 0.5) / of - 0.5) for place in range(links)]


def _finish(axes: Axes, traces: Sequence[str], *, decimals: int = 0) -> None:
    axes.set_xticks(range(len(traces)), traces, rotation=25, ha="right", fontsize="small")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=decimals))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _each(rows: Sequence[Row], name: str) -> list[Any]:
    """Its values in their order."""
    return list(dict.fromkeys(row[name] for row in rows))


def _missing(axes: Axes, part: str) -> None:
    axes.text(0.5, 0.5, f"not measured: --only {part}", ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
