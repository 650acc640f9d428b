"""The command ``headway model verify``: the gate on any pair of models, with its verdict and every reason."""

import os
from pathlib import Path
from typing import Annotated

import typer

from inference.commands.model_files import ModelArgument, model_file
from inference.commands.terminal import (
    EXIT_FAILED,
    EXIT_USAGE,
    JsonOption,
    answer,
    answering,
    fail,
    say_step,
    show_table,
)
from inference.errors import NotFoundError
from inference.gate.verdict import GateLimits, Verdict
from inference.packages.cache import models_dir
from inference.packages.verify import Pair
from inference.packages.verify import verify as judged
from inference.packages.zoo import fetch
from inference.quantize.photo_sources import photo_paths
from inference.quantize.tasks import PLAIN_IMAGES, QUANTISE_TASKS

ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of photos and videos that show what the task looks for."),
]
VideoOption = Annotated[
    Path | None, typer.Option("--video", help="A video that does; stretches of it count as photos.")
]
_COLUMNS = ("samples", "median", "p90", "max", "flips", "passed")


def shown_paths(images: Path | None, video: Path | None, /) -> tuple[Path, ...]:
    """Files that are shown to a model; ends the command where none is named.

    Raises:
        NotFoundError: a folder or file is not there.
    """
    named = [path for path in (images, video) if path is not None]
    if not named:
        fail("name --images, --video or both: a model is judged on what it will see", EXIT_USAGE)
    for path in named:
        if not path.exists():
            raise NotFoundError(f"there is no photo folder or video {path}: check the path")
    return tuple(found for path in named for found in photo_paths(path))


def verify(
    model: ModelArgument,
    *,
    against: Annotated[Path, typer.Option(help="The float original of the model.")],
    task: Annotated[
        str,
        typer.Option(help=f"The models' task: {', '.join(QUANTISE_TASKS)}; default: any that takes images."),
    ] = "",
    images: ImagesOption = None,
    video: VideoOption = None,
    speed: Annotated[bool, typer.Option(help="Judge how fast it runs here, too.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Judge an int8 model beside its float original: every output, the file, the speed. Exit code 1 is a refusal.

    Example: headway model verify hand_int8.tflite --against hand_landmark_full.tflite --task hands --images photos
    """
    if task and task not in QUANTISE_TASKS:
        fail(f"task {task!r} has no rules: choose one of {', '.join(QUANTISE_TASKS)}, or none", EXIT_USAGE)
    row = QUANTISE_TASKS.get(task, PLAIN_IMAGES)
    with answering():
        pair = Pair(
            candidate=model_file(model),
            original=model_file(against),
            helpers={role: fetch(name, models_dir(os.environ))[name] for role, name in row.helpers.items()},
        )
        shown = shown_paths(images, video)
        limits = GateLimits() if speed else GateLimits(speed_turns=0)
        verdict = judged(pair, shown=shown, tell=say_step, task=row, limits=limits)
        if as_json:
            names = {"model": model.name, "against": against.name, "task": task or None}
            answer({**names, **verdict.view()}, as_json=True)
        else:
            _show(verdict)
    if not verdict.accepted:
        raise typer.Exit(EXIT_FAILED)


def _show(verdict: Verdict) -> None:
    records = {row.name: row.record() for row in verdict.agreement}
    if records:
        rows = [[name, *(record[column] for column in _COLUMNS)] for name, record in records.items()]
        show_table(("output", *_COLUMNS), rows)
    if facts := verdict.structure:
        typer.echo(f"{facts.int8_operators} of {facts.operators} operators in int8")
        typer.echo(f"{facts.new_bytes} bytes, the original {facts.old_bytes}")
    if speed := verdict.speed:
        typer.echo(f"{speed.candidate_ms:.2f} ms, the original {speed.base_ms:.2f} ms")
    typer.echo("accepted" if verdict.accepted else "refused")
    for reason in verdict.reasons:
        typer.echo(f"  {reason.advice}")
