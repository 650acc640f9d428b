"""The deadline, measured: ``python -m bench.deadline --out bench/results/deadline.json`` (``make bench-deadline``).

Runs the parts one after another; each states its aims and whether it met them. A part that fails is recorded with its
error, the others go on, and the exit code is 1. An aim that was missed is reported, and changes the exit code only
with ``--strict``: many figures depend on how busy this host is. With ``--only`` the other parts of a file that was
measured on the same machine stay as they are. Beside the figures lies their picture.
"""

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.deadline_witness import Witness
from bench.machine import machine_facts
from bench.parts import PACKAGES, Tell, TellOf, chosen, earlier, keep, shown, timed
from observability import log

SCALES = ("quick", "full")
NAP_NS = 10_000_000  # of who watches the host: seldom enough to disturb nothing; parts on a real clock watch closer


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One measurement: the module of its ``measure``, and functions of other modules that it is to be given."""

    module: str
    given: dict[str, str] = field(default_factory=dict)  # argument -> "module:function"

    def run(self, *, scale: str, tell: Tell) -> dict[str, Any]:
        """Import it only now, so that what one part needs does not stop the others."""
        given = {name: _load(place) for name, place in self.given.items()}
        found: dict[str, Any] = import_module(self.module).measure(scale=scale, progress=tell, **given)
        return found


PARTS: dict[str, Part] = {
    "sim": Part(module="bench.deadline_sim"),
    "real": Part(module="bench.deadline_real"),
    "grid": Part(module="bench.deadline_grid"),
    "cells": Part(module="bench.deadline_cells", given={"simulate": "bench.world.blocks:simulate_blocks"}),
    "blackhole": Part(module="bench.deadline_blackhole"),
    "overload": Part(module="bench.deadline_overload"),
    "calibration": Part(module="bench.deadline_calibration"),
    "timing": Part(module="bench.deadline_timing"),
}


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def run_part(name: str, *, scale: str, tell: Tell) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record of how it went and how busy the host was meanwhile, and what it measured; nothing where it failed."""
    with Witness(threads=1, nap_ns=NAP_NS) as witness:
        record, found = timed(lambda: PARTS[name].run(scale=scale, tell=tell), scale=scale)
    record["host"] |= witness.facts()
    return record, found or {}


def run(names: Sequence[str], *, scale: str, before: dict[str, Any], tell: TellOf) -> dict[str, Any]:
    """Measure these parts; ``before`` is the report they go into."""
    report = {"machine": machine_facts(PACKAGES), "parts": {}, "aims": [], **before}
    for name in names:
        record, found = run_part(name, scale=scale, tell=partial(tell, name))
        own = [{"part": name, **aim} for aim in found.pop("aims", [])]
        report["parts"][name] = record
        report[name] = found
        report["aims"] = [aim for aim in report["aims"] if aim["part"] != name] + own
        tell(name, record["error"] or f"done in {record['seconds']} s")
    return report


def failed(report: dict[str, Any], *, strict: bool) -> bool:
    """Whether a part failed; where that is asked, whether an aim was missed too."""
    broke = any(record["error"] for record in report["parts"].values())
    return broke or (strict and not all(aim["met"] for aim in report["aims"]))


def main(
    only: Annotated[str, typer.Option(help=f"Parts with commas between, out of {', '.join(PARTS)}.")] = "",
    scale: Annotated[str, typer.Option(help="quick: minutes. full: the figures that count.")] = "quick",
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("bench/results/deadline.json"),
    plot: Annotated[bool, typer.Option(help="Draw the picture beside the figures.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a missed aim too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the deadline: answers under faults, policies side by side, calibration, overload, timing.

    Example: python -m bench.deadline --only grid,calibration --scale full
    """
    log.configure("bench", level="warning")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that sites are ended and folders removed
    names = chosen(only, PARTS)
    if scale not in SCALES:
        print(f"error: no scale {scale}: choose out of {', '.join(SCALES)}", file=sys.stderr)
        raise typer.Exit(2)
    before = earlier(out) if only else {}
    report = shown(lambda tell: run(names, scale=scale, before=before, tell=tell))
    keep(report, out)
    picture = _draw(report, out) if plot else None
    if as_json:
        print(json.dumps(report))
    else:
        _show(report, out, picture)
    if failed(report, strict=strict):
        raise typer.Exit(1)


def _draw(report: dict[str, Any], out: Path) -> Path | None:
    """The picture of what there is to draw; figures are never lost because it could not be drawn."""
    picture = out.with_suffix(".png")
    try:
        draw = _load("bench.deadline_plot:draw")
        return picture if draw(report, out=picture) else None
    except ImportError as error:
        print(f"no picture ({error}): install the extra named plot", file=sys.stderr)
        return None


def _host_words(record: dict[str, Any]) -> str:
    """How busy the host was, as far as the record says."""
    host = record.get("host")
    if host is None:
        return ""
    return (
        f" (host {host['busy_share']:.0%} busy, {host['others_share']:.0%} by others, {host['steal_share']:.0%} stolen,"
        f" woke {host['wake_lateness_ms']['p99.9']} ms late at p99.9)"
    )


def _show(report: dict[str, Any], out: Path, picture: Path | None) -> None:
    for name, record in report["parts"].items():
        print(f"{name:<11} {record['seconds']:>7} s  {record['error'] or 'measured'}{_host_words(record)}")
    for aim in report["aims"]:
        word = "met" if aim["met"] else "MISSED"
        bound = f"at most {aim['at_most']}" if "at_most" in aim else f"at least {aim.get('at_least')}"
        print(f"aim {aim['part']}: {aim['what']}, {bound}: {aim['measured']} {word} {aim.get('note', '')}")
    print(f"bench: figures are in {out}" + (f", drawn in {picture}" if picture else ""))


if __name__ == "__main__":
    typer.run(main)
