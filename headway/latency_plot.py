"""Shell: the picture of a run, one dot per frame (the only importer of matplotlib in the door).

Latency from the scheduled capture against time, a row per headset, coloured by path; the deadline, the
outage and the deployments are marked, so that one look tells what a reader of the log would search for. Every
outage has a row of its own below, drawn larger, with what became of its frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "local": "#1f77b4",
    "offload": "#2ca02c",
    "split": "#9467bd",
    "carried": "#ff7f0e",
    "none": "#d62728",
}
LATE_COLOUR = "#d62728"
BEFORE_CUT_S, AFTER_CUT_S = 1.0, 2.5  # what the enlarged row shows around an outage
MARK_COLOURS = {None: "#777777", True: "#2ca02c", False: "#d62728"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """When a headset's network was gone, in seconds after the streams started, and how that went."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment of a deployment, in seconds after the streams started; ``good`` is None while it is open."""

    at_s: float
    text: str
    good: bool | None


def draw(
    path: Path,
    frames: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    start_ns: int,
    outages: Mapping[str, Outage],
    marks: Sequence[Mark],
) -> None:
    """Write the picture.

    Args:
        path: the PNG to write.
        frames: headset id to its frame lines.
        start_ns: monotonic time of second 0.
        outages: headset id to its outage.
        marks: deployments, drawn through all rows.
    """
    mpl.use("Agg")
    overview, rows = max(1, len(frames)), max(1, len(frames)) + len(outages)
    figure = Figure(figsize=(12, 2.6 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, 1, 1)]
    axes += [figure.add_subplot(rows, 1, row, sharex=axes[0]) for row in range(2, overview + 1)]
    for axis, (headset, lines) in zip(axes, frames.items(), strict=False):
        _draw_row(axis, headset, lines, start_ns=start_ns)
        if headset in outages:
            _draw_cut(axis, outages[headset])
        for mark in marks:
            axis.axvline(
                mark.at_s, color=MARK_COLOURS[mark.good], lw=0.8, ls=":" if mark.good is None else "--"
            )
        if axis.get_legend_handles_labels()[0]:  # a headset without frames has nothing to explain
            axis.legend(loc="upper left", fontsize=7, ncols=5, framealpha=0.9)
    for mark in (mark for mark in marks if mark.good is not None):
        axes[0].annotate(
            mark.text,
            (mark.at_s, 1.0),
            xycoords=("data", "axes fraction"),
            fontsize=7,
            rotation=20,
            va="bottom",
        )
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)  # the rows share one axis
    axes[-1].set_xlabel("seconds after the streams started")
    for row, (headset, outage) in enumerate(outages.items(), start=overview + 1):
        axis = figure.add_subplot(rows, 1, row)
        _draw_enlarged(axis, headset, frames.get(headset, ()), start_ns=start_ns, outage=outage)
    figure.savefig(path, dpi=110)


def _draw_cut(axis: Axes, outage: Outage) -> None:
    axis.axvspan(outage.start_s, outage.end_s, color="#999999", alpha=0.35, lw=0, label="network cut")


def _draw_enlarged(
    axis: Axes, headset: str, lines: Sequence[Mapping[str, Any]], *, start_ns: int, outage: Outage
) -> None:
    """The outage and a little before and after it, every frame a large dot."""
    first_s, last_s = outage.start_s - BEFORE_CUT_S, outage.end_s + AFTER_CUT_S
    near = [line for line in lines if first_s <= (line["scheduled_ns"] - start_ns) / 1e9 < last_s]
    _draw_row(axis, headset, near, start_ns=start_ns, size=14)
    _draw_cut(axis, outage)
    axis.set_xlim(first_s, last_s)
    axis.set_title(outage.text, fontsize=9, loc="left")
    axis.set_xlabel("seconds after the streams started")
    axis.legend(loc="upper left", fontsize=7, ncols=6, framealpha=0.9)


def _draw_row(
    axis: Axes, headset: str, lines: Sequence[Mapping[str, Any]], *, start_ns: int, size: int = 4
) -> None:
    for way, colour in COLOURS.items():
        chosen = [line for line in lines if line["path"] == way]
        if chosen:
            seconds = [(line["scheduled_ns"] - start_ns) / 1e9 for line in chosen]
            axis.scatter(
                seconds,
                [line["latency_ms"] for line in chosen],
                s=size,
                color=colour,
                label=way,
                linewidths=0,
            )
    late = [line for line in lines if line["outcome"] == "late"]
    if late:
        seconds = [(line["scheduled_ns"] - start_ns) / 1e9 for line in late]
        axis.scatter(
            seconds,
            [line["latency_ms"] for line in late],
            s=30,
            facecolors="none",
            edgecolors=LATE_COLOUR,
            label="late",
        )
    if lines:
        axis.axhline(lines[0]["deadline_ms"], color="#444444", lw=0.8)
    axis.set_ylim(bottom=0)
    axis.set_ylabel(f"{headset}\nlatency ms", fontsize=8)
    axis.grid(visible=True, alpha=0.25)
