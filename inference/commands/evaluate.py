"""The command ``headway eval hands``: hands found in photos and videos against reference answers.

Reads arguments, shows progress on stderr and figures on stdout. What is measured lies in
``inference.evaluation.scoring`` and ``inference.evaluation.hand_agreement``, how it runs in ``inference.evaluation.hand_evaluation``.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inference.errors import InferenceError, OracleError
from inference.evaluation.hand_evaluation import Evaluation, Watch, evaluate
from inference.evaluation.oracle import read_photos, read_videos
from inference.evaluation.score_hands import Figures
from inference.packages.cache import models_dir
from inference.packages.zoo import fetch, known

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
_COLUMNS = ("n_images", "n_hands", "n_matched", "recall", "precision", "median", "p90")
_COMPARED = ("n_regions", "median", "p90", "lost_hands", "handedness_flips", "false_presences")


def hands(
    *,
    images: Annotated[Path, typer.Option(help="Folder of photos.")],
    oracle: Annotated[Path, typer.Option(help="JSON with reference hands; entries are folder/file.")],
    models: Annotated[Path | None, typer.Option(help="Folder of models; default: the cache.")] = None,
    variant: Annotated[str, typer.Option(help="Which MediaPipe models: full or lite.")] = "full",
    int8: Annotated[
        Path | None, typer.Option(help="Quantised landmark model, file or package; default: make one.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Photos to make int8 with; default: a part of the scored ones.")
    ] = None,
    float_only: Annotated[bool, typer.Option("--float-only", help="Leave int8 out.")] = False,
    video: Annotated[Path | None, typer.Option(help="Folder of videos, run in tracking mode.")] = None,
    video_oracle: Annotated[Path | None, typer.Option(help="JSON with reference hands per frame.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Score found hands: recall, precision and distances, float and int8.

    Example: headway eval hands --images photos --oracle hands.json --json
    """
    if (video is None) != (video_oracle is None):
        _fail(EXIT_USAGE, "--video and --video-oracle belong together: pass both or neither")
    if float_only and (int8 or calibration):
        _fail(EXIT_USAGE, "--float-only leaves int8 out: drop it, or drop --int8 and --calibration")
    named = (images, oracle, models, int8, calibration, video, video_oracle)
    absent = [path for path in named if path and not path.exists()]
    if absent:
        _fail(EXIT_UNAVAILABLE, f"{absent[0]} does not exist: pass a path that does")
    try:
        paths = _model_paths(models, variant)
    except InferenceError as error:
        _fail(EXIT_UNAVAILABLE, str(error))
    try:
        evaluation = Evaluation(
            **paths,
            photos=tuple(read_photos(oracle, folder=images)),
            videos=tuple(read_videos(video_oracle, folder=video)) if video and video_oracle else (),
            int8=int8,
            calibration=calibration,
            float_only=float_only,
        )
        with _watched(evaluation) as watch:
            figures = evaluate(evaluation, watch=watch)
    except InferenceError as error:
        _fail(EXIT_FAILED, str(error))
    _show(figures, as_json=as_json)
    refused = figures.get("int8", {}).get("refused", ())
    if refused:
        _fail(EXIT_FAILED, f"no int8 figures: {'; '.join(refused)}")


def _model_paths(folder: Path | None, variant: str) -> dict[str, Path]:
    """Model files by role; without a folder those of the cache, imported where they are missing.

    Raises:
        InferenceError: no such variant, or a model is neither there nor can be imported.
    """
    names = {"palm": f"palm_detection_{variant}", "landmark": f"hand_landmark_{variant}"}
    if folder is None:
        cache = models_dir(os.environ)
        return {role: fetch(name, cache)[name] for role, name in names.items()}
    paths = {role: folder / known(name)[0].file_name for role, name in names.items()}
    absent = [path for path in paths.values() if not path.is_file()]
    if absent:
        raise OracleError(
            f"{absent[0]} does not exist: run `headway model import hands` or leave out --models"
        )
    return paths


@contextmanager
def _watched(evaluation: Evaluation) -> Iterator[Watch]:
    """Bars on stderr: one for photos, one for frames of videos, and the step in words."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    n_frames = sum(len(video.frames) for video in evaluation.videos)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        photos = progress.add_task("photos", total=len(evaluation.photos))
        frames = progress.add_task("frames", total=n_frames, visible=n_frames > 0)
        yield Watch(
            step=lambda step: progress.update(photos, description=step),
            photo=partial(progress.update, photos, advance=1, description="photos"),
            frame=partial(progress.update, frames, advance=1),
        )


def _show(figures: Figures, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    rows = {name: row for name, row in figures.items() if name != "video"}
    rows |= {f"video {name}": row for name, row in figures.get("video", {}).items()}
    console = Console()
    console.print(_table({name: row for name, row in rows.items() if "refused" not in row}, _COLUMNS))
    compared = {name: row["against_float"] for name, row in rows.items() if "against_float" in row}
    if compared:
        console.print("int8 against float on the same regions")
        console.print(_table(compared, _COMPARED))


def _table(rows: Mapping[str, Figures], columns: tuple[str, ...]) -> Table:
    table = Table("model", *columns, box=SIMPLE)
    for name, row in rows.items():
        table.add_row(name, *(_cell(row[column]) for column in columns))
    return table


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _fail(code: int, message: str) -> NoReturn:
    typer.echo(f"eval hands: {message}", err=True)
    raise typer.Exit(code)
