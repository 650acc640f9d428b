"""How a headset's decisions look on a terminal: its own words as rows a person can read. Pure.

Reads carefully: a headset of another version may leave a word out or add one; what is absent shows as ``-``,
and inputs are shown whatever they are called.
"""

from typing import Any

DECISION_COLUMNS = ("frame", "way", "worker", "quality", "in time", "duplicate", "hedge", "why")
CANDIDATE_COLUMNS = ("way", "worker", "quality", "in time", "energy", "cost", "score", "why not")
THREE_DIGITS = 999.5
UNITS = {"_ns": (1e-6, "ms"), "_us": (1e-3, "ms"), "_ms": (1.0, "ms"), "_j": (1e3, "mJ"), "_c": (1.0, "°C")}

Json = dict[str, Any]


def decisions(told: list[Json]) -> list[tuple[str, ...]]:
    """One row per decision, in the order told, for ``DECISION_COLUMNS``."""
    return [
        (
            _word(row, "frame_id"),
            _way(row),
            _word(row, "worker"),
            _word(row, "quality"),
            _share(row.get("p_on_time")),
            _word(row, "duplicate"),
            value_text("hedge_at_ns", row.get("hedge_in_ns", row.get("hedge_at_ns"))),
            _word(row, "reason"),
        )
        for row in told
    ]


def newest(row: Json) -> list[tuple[str, str]]:
    """What one decision was made from, as (name, value); candidates have a table of their own."""
    plain = {key: value for key, value in row.items() if key not in {"inputs", "considered"}}
    inputs = row.get("inputs")
    found = _flat("", plain) + (_flat("", inputs) if isinstance(inputs, dict) else [])
    return [(name, value_text(name, value)) for name, value in found]


def candidates(row: Json) -> list[tuple[str, ...]]:
    """Every way that was considered, the best score first, for ``CANDIDATE_COLUMNS``."""
    considered = row.get("considered")
    told = [entry for entry in considered if isinstance(entry, dict)] if isinstance(considered, list) else []
    told.sort(key=lambda entry: _number(entry.get("score")), reverse=True)
    return [
        (
            _way(entry),
            _word(entry, "worker"),
            _word(entry, "quality"),
            _share(entry.get("p_on_time")),
            value_text("energy_j", entry.get("energy_j")),
            value_text("cost", entry.get("cost")),
            value_text("score", entry.get("score")),
            _word(entry, "why_not"),
        )
        for entry in told
    ]


def _way(row: Json) -> str:
    """A split says where it cuts."""
    return f"{_word(row, 'path')} {row['placement']}" if row.get("placement") else _word(row, "path")


def value_text(name: str, value: object) -> str:
    """A value with the unit that its name ends in; ``-`` for none.

    >>> value_text("budget_ns", 20_500_000)
    '20.5 ms'
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if name == "p_on_time":
        return _share(value)
    factor, unit = next((told for ending, told in UNITS.items() if name.endswith(ending)), (1.0, ""))
    if isinstance(value, int) and not unit:
        return str(value)  # a count or a number of something: every digit matters
    scaled = value * factor
    return f"{scaled:.3g} {unit}".strip() if abs(scaled) < THREE_DIGITS else f"{scaled:.0f} {unit}".strip()


def _flat(prefix: str, tree: Json) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found += _flat(f"{name}.", value)
        else:
            found.append((name, ", ".join(map(str, value)) if isinstance(value, list) else value))
    return found


def _word(row: Json, name: str) -> str:
    value = row.get(name)
    if value is None or value == "":
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _share(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "-"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("-inf")
