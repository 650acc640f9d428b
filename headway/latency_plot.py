"""Shell: the picture of a run, one dot per frame (the only importer of matplotlib in the door).

Latency from the scheduled capture against time, a row per headset, coloured by path; the deadline, the
outage and the deployments are marked, so that one look tells what a reader of the log would search for.
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
MARK_COLOURS = {None: "#777777", True: "#2ca02c", False: "#d62728"}


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
    outages: Mapping[str, tuple[float, float]],
    marks: Sequence[Mark],
) -> None:
    """Write the picture.

    Args:
        path: the PNG to write.
        frames: headset id to its frame lines.
        start_ns: monotonic time of second 0.
        outages: headset id to the start and end of its outage in seconds.
        marks: deployments, drawn through all rows.
    """
    mpl.use("Agg")
    figure = Figure(figsize=(12, 2.6 * max(1, len(frames))), layout="constrained")
    axes = figure.subplots(max(1, len(frames)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (headset, lines) in zip(axes, frames.items(), strict=False):
        _draw_row(axis, headset, lines, start_ns=start_ns)
        if headset in outages:
            axis.axvspan(*outages[headset], color="#999999", alpha=0.35, lw=0, label="network cut")
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
    axes[-1].set_xlabel("seconds after the streams started")
    figure.savefig(path, dpi=110)


def _draw_row(axis: Axes, headset: str, lines: Sequence[Mapping[str, Any]], *, start_ns: int) -> None:
    for way, colour in COLOURS.items():
        chosen = [line for line in lines if line["path"] == way]
        if chosen:
            seconds = [(line["scheduled_ns"] - start_ns) / 1e9 for line in chosen]
            axis.scatter(
                seconds, [line["latency_ms"] for line in chosen], s=4, color=colour, label=way, linewidths=0
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
