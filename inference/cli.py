"""The commands ``headway model`` and ``headway eval``: thin; the work lies in the modules they call.

Answers go to stdout, as JSON where asked; steps and errors go to stderr; exit codes: 0 done, 1 refused or
failed, 2 wrong usage, 3 not found or unavailable.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from inference.commands import evaluate as evaluate_hands
from inference.commands import inspect as inspect_cli
from inference.commands import place as place_cli
from inference.commands import profile as profile_cli
from inference.commands import split as split_cli
from inference.commands import verify as verify_cli
from inference.commands.model_files import ModelArgument, model_file
from inference.commands.terminal import (
    EXIT_USAGE,
    JsonOption,
    ManagerOption,
    answer,
    answering,
    fail,
    list_view,
    manager_to_ask,
    package_view,
    say_step,
    show_package,
    show_packages,
)
from inference.commands.verify import ImagesOption, VideoOption, shown_paths
from inference.errors import InferenceError, NotFoundError, QuantiseRefusedError
from inference.packages.cache import models_dir, packages_dir
from inference.packages.making import Making, make_float_package, make_int8_package
from inference.packages.package import Package, TaskName, list_packages, open_package
from inference.packages.publish import checked_package, published
from inference.packages.publish import publish as send
from inference.packages.zoo import MODELS, fetch
from inference.quantize.search import MODES
from inference.quantize.tasks import quantise_task
from inference.runtimes.registry import WORDS, row_of

model = typer.Typer(
    help="Models: import, inspect, split, quantise, verify, profile, place, publish. Example: headway model import hands",
    no_args_is_help=True,
)
evaluate = typer.Typer(
    help="Measure a task against reference answers. Example: headway eval hands --images photos --oracle hands.json",
    no_args_is_help=True,
)
evaluate.command("hands")(evaluate_hands.hands)
model.command("inspect")(inspect_cli.inspect)
model.command("split")(split_cli.split)
model.command("profile")(profile_cli.profile)
model.command("place")(place_cli.place)
model.command("verify")(verify_cli.verify)


@evaluate.callback()
def _measure() -> None:
    """Measure a task against reference answers."""


StoreOption = Annotated[
    Path | None, typer.Option(help="Folder of packages; default: the cache.", file_okay=False)
]
TaskOption = Annotated[str, typer.Option(help="The model's task, for example hands.")]
NameOption = Annotated[str, typer.Option(help="The package's name; default: from the file.")]
VersionOption = Annotated[str, typer.Option(help="The package's version.")]
PackageArgument = Annotated[Path, typer.Argument(help="A package folder.", metavar="PACKAGE_DIR")]
RuntimeOption = Annotated[str, typer.Option(help=f"Engine to try it with: {', '.join(WORDS)}.")]


@model.command("import")
def import_models(
    name: Annotated[str, typer.Argument(help="A known model or set, for example hands.")],
    *,
    into: Annotated[Path | None, typer.Option(help="Folder for model files; default: the cache.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import known public models, checked by digest; what is there already is not fetched again.

    Example: headway model import hands
    """
    with answering():
        paths = fetch(name, into or models_dir(os.environ))
        rows = {known: str(path) for known, path in paths.items()}
        answer(rows, as_json=as_json, lines=[f"{known}  {path}" for known, path in rows.items()])


@model.command()
def quantize(
    model: ModelArgument,
    *,
    images: ImagesOption = None,
    video: VideoOption = None,
    task: TaskOption = "hands",
    mode: Annotated[str, typer.Option(help=f"Ranges of activations: {' or '.join(MODES)}.")] = "static",
    out: StoreOption = None,
    name: NameOption = "",
    version: VersionOption = "1",
    seed: Annotated[int, typer.Option(help="Same photos and seed give the same bytes.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Quantise a float model to int8 with real inputs; refuse it unless every output agrees on unseen photos.

    Example: headway model quantize hand_landmark_full.tflite --task hands --images photos
    """
    if mode not in MODES:
        fail(f"--mode {mode!r}: choose one of {', '.join(MODES)}", EXIT_USAGE)
    with answering():
        shown = shown_paths(images, video)
        making = _making(model, shown=shown, task=task, out=out, name=name, version=version)
        making = replace(making, seed=seed, mode=mode)
        try:
            package = make_int8_package(making, tell=say_step)
        except QuantiseRefusedError as error:
            if as_json:
                answer({"accepted": False, "reasons": [row.view() for row in error.reasons]}, as_json=True)
            raise
        show_package(package, as_json=as_json)


@model.command()
def pack(
    model: ModelArgument,
    *,
    images: ImagesOption = None,
    video: VideoOption = None,
    task: TaskOption = "hands",
    out: StoreOption = None,
    name: NameOption = "",
    version: VersionOption = "1",
    as_json: JsonOption = False,
) -> None:
    """Pack a model as it is, with canaries cut out of photos.

    Example: headway model pack hand_landmark_full.tflite --task hands --images photos
    """
    with answering():
        shown = shown_paths(images, video)
        making = _making(model, shown=shown, task=task, out=out, name=name, version=version)
        show_package(make_float_package(making), as_json=as_json)


@model.command()
def publish(
    package: PackageArgument,
    *,
    manager: ManagerOption,
    runtime: RuntimeOption = "litert",
    as_json: JsonOption = False,
) -> None:
    """Publish a package; it is hashed, opened in a child process and must answer its canaries first.

    Example: headway model publish packages/3f2a… --manager http://127.0.0.1:7447
    """
    with answering():
        checked = checked_package(_existing(package, "package folder"), runtime=row_of(runtime))
        view = send(checked, manager=manager)
        answer(view, as_json=as_json, lines=[f"published {view['name']} {view['version']} {view['digest']}"])


@model.command("ls")
def list_models(
    context: typer.Context,
    *,
    store: StoreOption = None,
    manager: ManagerOption = "",
    as_json: JsonOption = False,
) -> None:
    """List packages: those of a manager where one is named, else those built here.

    Example: headway model ls --manager http://127.0.0.1:7447 --json
    """
    with answering():
        if manager := manager_to_ask(context, manager=manager, store=store):
            show_packages(published(manager), as_json=as_json)
            return
        found = list_packages(store or packages_dir(os.environ), tell=say_step)
        show_packages([list_view(package) for package in found], as_json=as_json)


@model.command()
def show(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="A package folder, a digest or its start, a name, or name:version.")
    ],
    *,
    store: StoreOption = None,
    manager: ManagerOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a package with all it says about its model.

    Example: headway model show hand-landmark-full-int8
    """
    with answering():
        if manager := manager_to_ask(context, manager=manager, store=store):
            view = published(manager, reference=reference)
            answer(view, as_json=as_json, lines=[f"{key}: {value}" for key, value in view.items()])
            return
        package = _find(reference, store or packages_dir(os.environ))
        answer(package_view(package), as_json=True) if as_json else show_package(package, as_json=False)


def _making(
    model: Path, *, shown: tuple[Path, ...], task: str, out: Path | None, name: str, version: str
) -> Making:
    try:
        row = quantise_task(task)
    except InferenceError as error:
        fail(str(error), EXIT_USAGE)
    path = model_file(model)
    source = MODELS.get(path.stem)
    folder = models_dir(os.environ)
    return Making(
        model=path,
        task=cast("TaskName", task),  # a row of the table, so a task that manifests know
        photos=shown,
        helpers={role: fetch(known, folder)[known] for role, known in row.helpers.items()},
        out=out or packages_dir(os.environ),
        name=name or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-"),
        version=version,
        licence=source.licence if source else "",
        source=f"{source.wheel} {source.member}" if source else "",
    )


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise NotFoundError(
            f"there is no {what} {path}: check the path, or `headway model import hands` first"
        )
    return path


def _find(reference: str, store: Path) -> Package:
    if Path(reference).is_dir():
        return open_package(Path(reference))
    found = [
        package
        for package in list_packages(store, tell=say_step)
        if reference in (package.manifest.name, f"{package.manifest.name}:{package.manifest.version}")
        or (len(reference) >= 6 and package.digest.startswith(reference))
    ]
    if not found:
        raise NotFoundError(f"no package here is called {reference!r}: list them with `headway model ls`")
    if len(found) > 1:
        names = ", ".join(f"{row.manifest.name}:{row.manifest.version} {row.digest[:12]}" for row in found)
        raise NotFoundError(f"{reference!r} means {len(found)} packages ({names}): say which by digest")
    return found[0]
