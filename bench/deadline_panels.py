"""Panels beside the comparison of policies: an outage, simulator and reality, stated chances, and an overloaded worker.

Each draws what its part measured, or says that it was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

GREEN, GREY = "#2ca02c", "#8c8c8c"
PATHS = {  # who answered -> colour and word
    "offload": ("#1f77b4", "by the worker"),
    "split": ("#9467bd", "by both"),
    "local": ("#d62728", "by the headset"),
    "carried": ("#ff7f0e", "an older answer moved on"),
}
UNANSWERED = ("late", "none")
FIGURES = {  # of an overloaded worker -> word, and what it is to be at least
    "goodput_over_capacity": ("answered in time\nover capacity", 0.9),
    "refused_within_rtt_p99": ("refused within\none round trip", 0.98),
    "jain": ("fair between\nheadsets (Jain)", 0.95),
}
WIDTH = 0.38
Part = Mapping[str, Any]


def outage(axes: Axes, blackhole: Part) -> None:
    """Every frame around one cut: how long its answer took and who gave it."""
    axes.set_title("one black hole, frame by frame", loc="left", fontsize="medium")
    timeline: Sequence[Mapping[str, Any]] = blackhole.get("timeline", ())
    if not timeline:
        _missing(axes, "blackhole")
        return
    axes.axvspan(0, blackhole["timeline_back_s"], color="#eeeeee", label="link cut")
    for path, (colour, word) in PATHS.items():
        own = [row for row in timeline if row["path"] == path and row["outcome"] not in UNANSWERED]
        if own:
            axes.plot(*_points(own), ".", color=colour, label=f"{word}: {len(own)}")
    lost = [row for row in timeline if row["outcome"] in UNANSWERED]
    if lost:
        axes.plot(*_points(lost), "kx", label=f"not in time: {len(lost)}")
    axes.axhline(blackhole["deadline_ms"], color="#222222", linestyle="--", linewidth=1, label="deadline")
    axes.set_ylim(0, 1.25 * blackhole["deadline_ms"])
    axes.set_xlabel("seconds since the cut")
    axes.set_ylabel("ms from capture to answer")
    axes.legend(loc="upper right", fontsize="small", ncols=3)
    axes.grid(alpha=0.3)


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [row["after_s"] for row in rows], [row["latency_ms"] for row in rows]


def cells(axes: Axes, found: Part) -> None:
    """Hit rates of the named links, real and simulated."""
    axes.set_title("the same links, real and simulated: hit rate", loc="left", fontsize="medium")
    rows: Sequence[Mapping[str, Any]] = found.get("rows", ())
    if not rows:
        _missing(axes, "cells")
        return
    for side, shift, colour in (("real", -WIDTH / 2, GREEN), ("simulated", WIDTH / 2, GREY)):
        heights = [row[side]["hit_rate"] or 0.0 for row in rows]
        bars = axes.bar(
            [place + shift for place in range(len(rows))], heights, width=WIDTH, color=colour, label=side
        )
        axes.bar_label(bars, [f"{100 * height:.1f}" for height in heights], fontsize="small")
    axes.set_xticks(range(len(rows)), [row["cell"] for row in rows])
    axes.set_ylim(0, 1.3)
    axes.legend(loc="upper right", fontsize="small", ncols=2)


def chances(axes: Axes, calibration: Part) -> None:
    """What was stated before frames left, and what came."""
    axes.set_title(
        "chance of a worker's answer in time: stated before, and what came", loc="left", fontsize="medium"
    )
    rows: Sequence[Mapping[str, Any]] = calibration.get("bins", ())
    if not rows:
        _missing(axes, "calibration")
        return
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    most = max(row["frames"] for row in rows)
    axes.bar(
        [row["from"] + 0.05 for row in rows],
        [0.25 * row["frames"] / most for row in rows],
        width=0.09,
        color="#dddddd",
        label=f"frames, at most {most}",
    )
    for name, colour, word in (("all", GREEN, "simulated"), ("after_changes", GREY, "5 s after changes")):
        together = calibration["together"][name]
        _curve(
            axes, calibration, name, colour, f"{word}: skill {together['skill']}, error {together['error']}"
        )
    axes.set_xlabel("stated")
    axes.set_ylabel("came in time")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left", fontsize="small")
    axes.grid(alpha=0.3)


def _curve(axes: Axes, calibration: Part, name: str, colour: str, label: str) -> None:
    rows = calibration["bins" if name == "all" else "bins_after_changes"]
    axes.plot(
        [row["stated"] for row in rows], [row["came"] for row in rows], marker="o", color=colour, label=label
    )


def overload(axes: Axes, found: Part) -> None:
    """What a worker makes of twice the work it can do, and what is asked of it."""
    rows: Sequence[Mapping[str, Any]] = found.get("cells", ())
    axes.set_title("a worker at twice its capacity, 30 headsets", loc="left", fontsize="medium")
    if not rows:
        _missing(axes, "overload")
        return
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        heights = [row[name] or 0.0 for name in FIGURES]
        places = [place + width * (number + 0.5) - 0.4 for place in range(len(FIGURES))]
        label = f"{row['name']} senders, {row['begun_expired']} of {row['run']} runs begun too late"
        bars = axes.bar(places, heights, width=width, color=(GREEN, "#1f77b4", GREY)[number % 3], label=label)
        axes.bar_label(bars, fmt="%.3f", fontsize="small")
    columns = range(len(FIGURES))
    axes.hlines(
        [least for _, least in FIGURES.values()],
        [place - 0.45 for place in columns],
        [place + 0.45 for place in columns],
        color="#222222",
        linestyle="--",
        label="asked for",
    )
    axes.set_xticks(range(len(FIGURES)), [word for word, _ in FIGURES.values()])
    axes.set_ylim(0, 1.4)
    axes.legend(loc="upper right", fontsize="small", ncols=2)


def _missing(axes: Axes, part: str) -> None:
    axes.text(0.5, 0.5, f"not measured: --only {part}", ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
