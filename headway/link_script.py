"""Pure core but for ``read_script``: turns rows of a script (a table of timed steps) into a ``LinkSpec``.

A script is a YAML or JSON list; each row says ``what`` happens, ``at_s`` when, and the step's values::

    - {what: delay, ms: 8}
    - {what: jitter, ms: 4, kind: lognormal}
    - {what: rate, mbps: 20, direction: up}
    - {what: stall, at_s: 10, for_s: 2, every_s: 20, times: 3}

``KINDS`` holds what each kind of row takes. Every row may name a ``direction`` (default: both) except cuts and
delay traces, and may repeat (``every_s`` with ``times``). Errors name the row and the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from headway.link_spec import (
    DelayTrace,
    DeliveryTrace,
    Direction,
    Jitter,
    Leg,
    LinkSpec,
    LinkSpecError,
    Phase,
    Window,
)
from headway.link_trace import read_delays, read_deliveries

BYTES_PER_S_PER_MBPS = 125_000
MOST_TIMES = 10_000
ALWAYS = ("what", "at_s", "every_s", "times")
BOTH = tuple(Direction)
Row = Mapping[str, Any]


@dataclass(slots=True)
class _Draft:
    """What the rows read so far add up to."""

    changes: list[tuple[float, Direction, str, Any]] = field(default_factory=list)
    stalls: list[Window] = field(default_factory=list)
    cuts: list[Window] = field(default_factory=list)
    trace: DelayTrace | None = None
    deliveries: dict[Direction, DeliveryTrace] = field(default_factory=dict)

    def change(self, row: Row, at_s: float, name: str, value: Any) -> None:
        self.changes.extend((at_s, direction, name, value) for direction in _directions(row))


def _delay(draft: _Draft, row: Row, at_s: float) -> None:
    draft.change(row, at_s, "delay_ms", _number(row, "ms"))


def _jitter(draft: _Draft, row: Row, at_s: float) -> None:
    kind = row.get("kind", "lognormal")
    draft.change(row, at_s, "jitter", Jitter(kind=str(kind), mean_ms=_number(row, "ms")))


def _rate(draft: _Draft, row: Row, at_s: float) -> None:
    free = row.get("mbps", 0) is None
    rate = None if free else _number(row, "mbps") * BYTES_PER_S_PER_MBPS
    draft.change(row, at_s, "rate_bytes_per_s", rate)


def _loss(draft: _Draft, row: Row, at_s: float) -> None:
    draft.change(row, at_s, "loss", _number(row, "share"))


def _stall(draft: _Draft, row: Row, at_s: float) -> None:
    draft.stalls.append(Window(at_s=at_s, for_s=_number(row, "for_s"), directions=_directions(row)))


def _cut(draft: _Draft, row: Row, at_s: float) -> None:
    draft.cuts.append(Window(at_s=at_s, for_s=_number(row, "for_s")))


def _delay_trace(draft: _Draft, row: Row, at_s: float) -> None:
    _only_from_start(at_s)
    draft.trace = read_delays(_path(row), start_s=_number(row, "start_s") if "start_s" in row else 0.0)
    draft.change(row, at_s, "rate_bytes_per_s", _number(row, "rate_mbps") * BYTES_PER_S_PER_MBPS)


def _delivery_trace(draft: _Draft, row: Row, at_s: float) -> None:
    _only_from_start(at_s)
    trace = read_deliveries(_path(row))
    draft.deliveries.update(dict.fromkeys(_directions(row), trace))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of row: the fields it needs, those it may have, and what it adds."""

    needs: tuple[str, ...]
    may: tuple[str, ...]
    add: Callable[[_Draft, Row, float], None]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "delay": Kind(("ms",), ("direction",), _delay),
        "jitter": Kind(("ms",), ("kind", "direction"), _jitter),
        "rate": Kind(("mbps",), ("direction",), _rate),  # null lifts the limit
        "loss": Kind(("share",), ("direction",), _loss),
        "stall": Kind(("for_s",), ("direction",), _stall),
        "cut": Kind(("for_s",), (), _cut),
        "delay-trace": Kind(("file", "rate_mbps"), ("start_s",), _delay_trace),
        "delivery-trace": Kind(("file",), ("direction",), _delivery_trace),
    }
)


def read_script(path: Path) -> list[dict[str, Any]]:
    """The rows of a script; files they name are looked for beside it.

    Raises:
        LinkSpecError: the file cannot be read or is no list of rows.
    """
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LinkSpecError(f"{path} cannot be read ({error.strerror}): name a file that is there") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LinkSpecError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LinkSpecError(
            f"{path} is no list of steps: write rows like '- {{what: delay, at_s: 0, ms: 8}}'"
        )
    return [
        {**row, "file": str(path.parent / row["file"])} if isinstance(row.get("file"), str) else row
        for row in rows
    ]


def spec_of(rows: Sequence[Row]) -> LinkSpec:
    """The link that these rows describe.

    Raises:
        LinkSpecError: a row is wrong; the text names it and its field.
    """
    draft = _Draft()
    for number, row in enumerate(rows, 1):
        _add(draft, row, number)
    return LinkSpec(
        phases=_phases(draft.changes),
        stalls=tuple(draft.stalls),
        cuts=tuple(draft.cuts),
        trace=draft.trace,
        up_deliveries=draft.deliveries.get(Direction.UP),
        down_deliveries=draft.deliveries.get(Direction.DOWN),
    )


def _add(draft: _Draft, row: Row, number: int) -> None:
    try:
        kind = _kind(row)
        for at_s in _times(row):
            kind.add(draft, row, at_s)
        _phases(draft.changes)  # checks the values while the row is known
    except LinkSpecError as error:
        raise LinkSpecError(f"row {number} ({row.get('what', 'no what')}): {error}") from error


def _phases(changes: Sequence[tuple[float, Direction, str, Any]]) -> tuple[Phase, ...]:
    legs = dict.fromkeys(Direction, Leg())
    found = {0.0: Phase()}
    for at_s, direction, name, value in sorted(changes, key=lambda change: change[0]):
        legs[direction] = replace(legs[direction], **{name: value})
        found[at_s] = Phase(at_s=at_s, up=legs[Direction.UP], down=legs[Direction.DOWN])
    return tuple(found.values())


def _kind(row: Row) -> Kind:
    what = row.get("what")
    if not isinstance(what, str) or what not in KINDS:
        raise LinkSpecError(f"what is {what!r}: write one of {', '.join(KINDS)}")
    kind = KINDS[what]
    known = (*kind.needs, *kind.may, *ALWAYS)
    for name in row:
        if name not in known:
            raise LinkSpecError(f"{name} is no field of it: write {', '.join(known)}")
    for name in kind.needs:
        if name not in row:
            raise LinkSpecError(f"{name} is missing: write it")
    return kind


def _times(row: Row) -> Iterator[float]:
    at_s = _number(row, "at_s") if "at_s" in row else 0.0
    if ("every_s" in row) != ("times" in row):
        raise LinkSpecError("every_s and times go together: write both or neither")
    if "times" not in row:
        yield at_s
        return
    times, every_s = row["times"], _number(row, "every_s")
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_TIMES:
        raise LinkSpecError(f"times is {times!r}: write a whole number from 1 to {MOST_TIMES}")
    for number in range(times):
        yield at_s + number * every_s


def _number(row: Row, name: str) -> float:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise LinkSpecError(f"{name} is {value!r}: write a number of at least 0")
    return float(value)


def _directions(row: Row) -> tuple[Direction, ...]:
    word = row.get("direction", "both")
    if word == "both":
        return BOTH
    try:
        return (Direction(word),)
    except ValueError:
        raise LinkSpecError(f"direction is {word!r}: write up, down or both") from None


def _path(row: Row) -> Path:
    if not isinstance(row["file"], str):
        raise LinkSpecError(f"file is {row['file']!r}: write the path of a recording")
    return Path(row["file"])


def _only_from_start(at_s: float) -> None:
    if at_s != 0:
        raise LinkSpecError(f"at_s is {at_s:g}: recordings play from the start, leave it out")
