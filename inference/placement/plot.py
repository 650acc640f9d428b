"""Shell: the picture of a placement, latency against uplink for every survivor, with the switch points.

The only importer of matplotlib in this room; loaded by the command that draws.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from inference.placement.survivors import NS_BITS_PER_BYTE_S
from inference.placement.words import Choice

POINTS = 400
DECADE = 10.0


def draw_placements(path: Path, choice: Choice) -> None:
    """Write a PNG; the range reaches a decade beyond the outermost switch points and the uplink of now."""
    mpl.use("Agg")
    found, uplink_bps = choice.survivors(), choice.conditions.uplink_bps[0]
    marks = [*found.switch_bps, uplink_bps]
    rates = np.geomspace(min(marks) / DECADE, max(marks) * DECADE, POINTS)
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots()
    for index, fixed, road in zip(found.indices, found.fixed_ns, found.road_bytes, strict=True):
        axes.plot(
            rates / 1e6, (fixed + road * NS_BITS_PER_BYTE_S / rates) / 1e6, label=choice.name(index), lw=1.2
        )
    best = np.array([found.latency_ns(rate) for rate in rates.tolist()]) / 1e6
    axes.plot(rates / 1e6, best, color="black", lw=2.6, alpha=0.35, label="the best at each rate")
    for number, bps in enumerate(found.switch_bps):
        axes.axvline(bps / 1e6, color="#777777", lw=0.8, ls=":", label=None if number else "switch points")
        axes.annotate(f"{bps / 1e6:.3g}", (bps / 1e6, 0.01), xycoords=("data", "axes fraction"), fontsize=7)
    axes.axvline(uplink_bps / 1e6, color="#1f77b4", lw=0.8, ls="--", label="uplink now")
    axes.axhline(choice.wish.deadline_ns / 1e6, color="#d62728", lw=0.8, label="deadline")
    top = max(3 * float(best.max()), 1.2 * choice.wish.deadline_ns / 1e6)
    axes.set(xscale="log", xlabel="uplink, Mbit/s", ylabel="latency, ms", ylim=(0, top))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
