"""The command ``headway model inspect``: a file as a table that a person can read, or in full as JSON."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from inference.commands.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.commands.terminal import JsonOption, answer, answering, show_table
from inference.errors import GraphError
from inference.packages.inspection import PositionRow, file_facts, position_rows, short_words
from inference.profile.store import find_profile, profiles_dir
from inference.profile.stored import Profile, read_profile
from inference.split.model import SplitModel, split_model

_MS_NS = 1e6
_COLUMNS = ("operator", "kind", "output", "cut at", "cut bytes", "until here ms")


def inspect(
    model: ModelArgument,
    *,
    shape: ShapeOption = None,
    profile: Annotated[
        str, typer.Option(help="Class or file of a profile for the times; default: the newest stored one.")
    ] = "",
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
            timed = _profile(profile, path, facts["sha256"])
            rows = position_rows(split, elapsed_ns=_elapsed_ns(timed))
            facts |= {"cuts": len(split.cuts), "positions": [row.as_dict() for row in rows]}
            facts["times_of"] = timed.hardware if timed else None
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


def _profile(word: str, path: Path, digest: str) -> Profile | None:
    """The profile that is meant, or the newest one stored for this model."""
    folder = profiles_dir(os.environ)
    if word:
        return find_profile(word, model=path.name, model_sha256=digest, folder=folder)
    stored = sorted((folder / digest).glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return read_profile(stored[-1]) if stored else None


def _elapsed_ns(profile: Profile | None) -> dict[int, float]:
    """Time of everything before each position, at the profile's first level."""
    return {} if profile is None else dict(zip(profile.positions, profile.prefix_ns[0], strict=False))


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
