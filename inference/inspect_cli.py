"""The command ``headway model inspect``: a file as a table that a person can read, or in full as JSON."""

from pathlib import Path
from typing import Annotated, Any

import typer

from inference.errors import GraphError, PlacementError
from inference.inspection import PositionRow, file_facts, position_rows, short_words
from inference.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.placement_profiles import read_profile
from inference.split import SplitModel, split_model
from inference.terminal import JsonOption, answer, answering, show_table

_MS_NS = 1e6
_COLUMNS = ("operator", "kind", "output", "cut at", "cut bytes", "time ms")


def inspect(
    model: ModelArgument,
    *,
    shape: ShapeOption = None,
    profile: Annotated[
        Path | None, typer.Option(help="A profile of this model; its times fill the last column.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's operators, what a cut behind each would send, and how much of the file is int8.

    Example: headway model inspect hand_landmark_full.tflite
    """
    with answering():
        path = model_file(model)
        content = path.read_bytes()
        split, reason = _ready(content, chosen_shapes(shape))
        facts = file_facts(path, content, split) | {"cannot_cut": reason or None, "cuts": 0, "positions": []}
        rows: tuple[PositionRow, ...] = ()
        if split is not None:
            rows = position_rows(split, elapsed_ns=_elapsed_ns(profile, facts["sha256"]))
            facts |= {"cuts": len(split.cuts), "positions": [row.as_dict() for row in rows]}
        if as_json:
            answer(facts, as_json=True)
            return
        answer(None, as_json=False, lines=_fact_lines(facts))
        if rows:
            show_table(_COLUMNS, [_cells(row) for row in rows])


def _ready(content: bytes, shapes: dict[str, tuple[int, ...]]) -> tuple[SplitModel | None, str]:
    """The model ready to be cut, or the reason why a .tflite file cannot be; of others nothing else is known."""
    try:
        return split_model(content, shapes=shapes), ""
    except GraphError as error:
        if shapes or content[4:8] != b"TFL3":
            raise
        return None, str(error)


def _elapsed_ns(path: Path | None, digest: str) -> dict[int, float]:
    """Time of everything before each position, at the profile's first level."""
    if path is None:
        return {}
    profile = read_profile(path)
    if profile.model_sha256 != digest:
        raise PlacementError(
            f"{path} is a profile of another file: profile this one with `headway model profile`"
        )
    return dict(zip(profile.positions, profile.prefix_ns[0], strict=False))


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    words = {key: value for key, value in facts.items() if key != "positions" and value is not None}
    words["operators"] = [f"{count} {kind}" for kind, count in facts["operators"].items()]
    return [
        f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in words.items()
    ]


def _cells(row: PositionRow) -> list[Any]:
    names = ", ".join(short_words(tensor.name, tensor.dtype, tensor.shape) for tensor in row.outputs)
    return [
        row.position - 1 if row.position else "",
        row.kind or "(inputs)",
        names,
        "" if row.cut_bytes is None else row.position,
        row.no_cut if row.cut_bytes is None else row.cut_bytes,
        "" if row.elapsed_ns is None else row.elapsed_ns / _MS_NS,
    ]
