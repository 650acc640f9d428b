"""Shell: find the model file that a command line means, and the input shapes chosen for it.

Refuses what is not there, with exit code 3, and shapes that cannot be read, with exit code 2.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from inference.commands.terminal import EXIT_USAGE, fail
from inference.errors import NotFoundError
from inference.packages.cache import models_dir

ModelArgument = Annotated[Path, typer.Argument(help="A model file; a bare name is looked up in the cache.")]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape", help="Shape of an .onnx input with free sizes: x=1,3,320,320.", metavar="NAME=SIZES"
    ),
]


def model_file(path: Path, /) -> Path:
    """The file itself, or an imported one of that name.

    Raises:
        NotFoundError: there is neither.
    """
    imported = models_dir(os.environ) / path.name
    if not path.is_file() and path.parent == Path() and imported.is_file():
        return imported
    if not path.is_file():
        raise NotFoundError(
            f"there is no model file {path}: check the path, or `headway model import hands` first"
        )
    return path


def chosen_shapes(words: list[str] | None, /) -> dict[str, tuple[int, ...]]:
    """Shapes by input name, from ``NAME=SIZES`` with commas between the sizes; ends the command where one is none."""
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words or []:
        name, found, sizes = word.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shape = ()
        if not found or not name or not shape or min(shape) < 1:
            fail(f"--shape {word!r}: give a name and its sizes, for example x=1,3,320,320", EXIT_USAGE)
        shapes[name] = shape
    return shapes
