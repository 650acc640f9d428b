"""What the craft can do, measured: ``python -m bench.craft --out bench/results/craft.json`` (``make bench-craft``).

Runs the parts one after another and judges each by its aims. A part that fails is recorded with its error, the others
go on, and the exit code is 1; so it is when an aim is missed. With ``--only`` the other parts of a file that was
measured on the same machine stay as they are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.craft_aims import AIMS, Aim
from bench.machine import machine_facts
from bench.parts import PACKAGES, Tell, TellOf, chosen, earlier, keep, shown, timed
from observability import log


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One measurement: where its ``measure`` is, how that wants to tell what it does, and counts for a quick look."""

    module: str
    tell: str
    quick: dict[str, Any]

    def run(self, *, quick: bool, tell: Tell) -> Any:
        """Import it only now, so that what one part needs does not stop the others."""
        measure = import_module(self.module).measure
        return measure(**{self.tell: tell}, **(self.quick if quick else {}))


PARTS: dict[str, Part] = {
    "placement": Part(
        module="bench.craft_placement",
        tell="tell",
        quick={"cases": 2, "oracle_cases": 1, "decisions": 50, "large": False},
    ),
    "gate": Part(module="bench.craft_gate", tell="progress", quick={}),
    "wire": Part(module="bench.craft_wire", tell="progress", quick={"turns": 2}),
    "mutants": Part(module="bench.model_mutants", tell="tell", quick={"files": 200}),
    "broker": Part(module="bench.craft_broker", tell="tell", quick={"frames": 5, "int8": False}),
    "profile": Part(module="bench.craft_profile", tell="progress", quick={"samples": 5, "placements": 4}),
    "parity": Part(module="bench.craft_parity", tell="progress", quick={"pairs": 5, "every": 16}),
}


def run_part(name: str, *, quick: bool, tell: Tell) -> tuple[dict[str, Any], Any]:
    """A record of how it went, and what it measured; None where it failed."""
    return timed(lambda: PARTS[name].run(quick=quick, tell=tell), quick=quick)


def judged(name: str, value: Any) -> list[Aim]:
    """What the part aimed at; a result of a form that nobody knows meets nothing."""
    try:
        return AIMS[name](value)
    except (LookupError, TypeError, ValueError) as error:
        return [Aim(name, "figures can be read", at="least", aimed=1, measured=None, note=repr(error))]


def run(names: Sequence[str], *, quick: bool, before: dict[str, Any], tell: TellOf) -> dict[str, Any]:
    """Measure these parts; ``before`` is the report they go into."""
    report = {"machine": machine_facts(PACKAGES), "parts": {}, "aims": [], **before}
    for name in names:
        record, value = run_part(name, quick=quick, tell=partial(tell, name))
        rows = value[name] if isinstance(value, dict) and name in value else value
        if isinstance(value, dict) and rows is not value:
            record |= {key: found for key, found in value.items() if key not in (name, "aims")}
        report["parts"][name] = record
        report[name] = rows
        own = [] if record["error"] else judged(name, value)
        report["aims"] = [row for row in report["aims"] if row["part"] != name] + [
            row.as_dict() for row in own
        ]
        tell(name, record["error"] or f"done in {record['seconds']} s")
    return report


def passed(report: dict[str, Any]) -> bool:
    """No part failed and every aim was met."""
    failed = [name for name, record in report["parts"].items() if record["error"]]
    return not failed and all(row["met"] for row in report["aims"])


def main(
    only: Annotated[str, typer.Option(help=f"Parts with commas between, out of {', '.join(PARTS)}.")] = "",
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("bench/results/craft.json"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny counts: does it run, not how good it is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the craft: parity of every cut, gate, placement, profile, wire, broker, broken model files.

    Example: python -m bench.craft --only placement,wire
    """
    log.configure("bench", level="warning")
    names = chosen(only, PARTS)
    before = earlier(out) if only else {}
    report = shown(lambda tell: run(names, quick=quick, before=before, tell=tell))
    keep(report, out)
    if as_json:
        print(json.dumps(report))
    else:
        _show(report, out)
    if not passed(report):
        raise typer.Exit(1)


def _show(report: dict[str, Any], out: Path) -> None:
    for name, record in report["parts"].items():
        print(f"{name:<10} {record['seconds']:>7} s  {record['error'] or 'measured'}")
    for aim in report["aims"]:
        word = "met" if aim["met"] else "MISSED"
        print(
            f"aim {aim['part']}: {aim['what']} at {aim['at']} {aim['aimed']}: {aim['measured']} {word} {aim['note']}"
        )
    print(f"bench: figures are in {out}")


if __name__ == "__main__":
    typer.run(main)
