"""What the craft aims at, part by part, and whether the figures reach it. Core."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

WORST_DECISION_US = 50.0
WORST_PROFILE_ERROR_PCT = 10.0
MOST_OVERHEAD_BYTES = 200
LEAST_CASES = 1000
LEAST_PAIRS = 50
LEAST_GATE_CASES = 5
LEAST_PLACEMENTS = 5
LEAST_FILES = 5000


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure with its limit; one that was not measured meets nothing."""

    part: str
    what: str
    at: Literal["least", "most"]
    aimed: float
    measured: float | None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of its limit."""
        if self.measured is None:
            return False
        return self.measured >= self.aimed if self.at == "least" else self.measured <= self.aimed

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {**asdict(self), "met": self.met}


def _share(part: str, what: str, good: int, all_of: int, note: str = "") -> Aim:
    return Aim(part, what, "least", all_of, good if all_of else None, note)


def parity_aims(found: dict[str, Any]) -> list[Aim]:
    """Every cut and pair of every model exact on one kernel path."""
    rows = [row for row in found["parity"] if row.get("one_path")]
    models = {row["model"] for row in rows}
    least = min((row["pairs"] for row in rows if row["cuts_legal"] > LEAST_PAIRS), default=None)
    refused = ", ".join(found["refused"])
    return [
        _share(
            "parity", "cuts exact on one path", sum(r["exact"] for r in rows), sum(r["cuts"] for r in rows)
        ),
        _share(
            "parity",
            "pairs exact on one path",
            sum(r["pairs_exact"] for r in rows),
            sum(r["pairs"] for r in rows),
        ),
        Aim("parity", "random pairs of each model", "least", LEAST_PAIRS, least),
        Aim("parity", "checks that broke", "most", 0, len(found["failed"])),
        Aim("parity", "models checked", "least", 1, len(models), f"refused: {refused}" if refused else ""),
    ]


def gate_aims(found: dict[str, Any]) -> list[Aim]:
    """Every case ends as it must, for the reason it must."""
    rows = found["gate"]
    wrong = [row["case"] for row in rows if not row["as_expected"]]
    return [
        _share("gate", "cases as expected", len(rows) - len(wrong), len(rows), ", ".join(wrong)),
        Aim("gate", "cases", "least", LEAST_GATE_CASES, len(rows)),
    ]


def placement_aims(found: dict[str, Any]) -> list[Aim]:
    """Equal to brute force, the published table, monotone bytes, the oracle, and a fast decision."""
    brute = found["brute_force"]
    fewest = min((row["cases"] for row in brute.values()), default=None)
    differences = sum(len(row["differences"]) for row in found["ans"])
    oracle = found["min_cut"]
    beaten = sum(row["interval_below_min_cut"] for row in oracle.values())
    slowest = max((row["wall_us"]["p99"] for row in found["decision"].values()), default=None)
    return [
        _share(
            "placement",
            "random cases equal to brute force",
            sum(row["equal"] for row in brute.values()),
            sum(row["cases"] for row in brute.values()),
        ),
        Aim("placement", "random cases of each family", "least", LEAST_CASES, fewest),
        Aim("placement", "cells that differ from the published table", "most", 0, differences),
        _share(
            "placement",
            "models whose bytes never fall with bandwidth",
            found["bytes_never_fall"]["held"],
            found["bytes_never_fall"]["cases"],
        ),
        Aim("placement", "cases below the min-cut oracle", "most", 0, beaten),
        Aim("placement", "decision p99 in us", "most", WORST_DECISION_US, slowest),
    ]


def profile_aims(found: dict[str, Any]) -> list[Aim]:
    """Predicted against measured on a later run."""
    return [
        Aim(
            "profile",
            f"median error of {row['model']} in %",
            "most",
            WORST_PROFILE_ERROR_PCT,
            row["median_error_pct"],
            f"sparse: {row['sparse_median_error_pct']}, by the {found['clock']} clock",
        )
        for row in found["profile"]
    ]


def wire_aims(found: dict[str, Any]) -> list[Aim]:
    """What a tensor message costs over the bare tensor."""
    ways = {"there": "overhead_bytes", "back": "reply_overhead_bytes"}
    most = {
        way: max((row["best"][name] for row in found["wire"]), default=None) for way, name in ways.items()
    }
    return [
        Aim("wire", f"bytes over the bare tensor, {way}", "most", MOST_OVERHEAD_BYTES, most[way])
        for way in ways
    ]


def broker_aims(found: Sequence[dict[str, Any]]) -> list[Aim]:
    """Every placement gives what the headset alone gives."""
    same = sum(bool(row["identical"]) for row in found)
    return [
        Aim("broker", "placements over the broker", "least", LEAST_PLACEMENTS, len(found)),
        _share("broker", "placements identical to local", same, len(found)),
    ]


def mutants_aims(found: dict[str, Any]) -> list[Aim]:
    """Broken files are refused or still work, and harm no reader."""
    return [
        Aim("mutants", "broken model files", "least", LEAST_FILES, found["files"]),
        Aim("mutants", "files that harmed a reader", "most", 0, len(found["findings"])),
    ]


AIMS: dict[str, Callable[[Any], list[Aim]]] = {
    "parity": parity_aims,
    "gate": gate_aims,
    "placement": placement_aims,
    "profile": profile_aims,
    "wire": wire_aims,
    "broker": broker_aims,
    "mutants": mutants_aims,
}
