"""The command ``headway model split``: writes the parts of a model, or checks that every cut of it is exact."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from inference.commands.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.commands.split_files import travels, worker_pair, write_parts
from inference.commands.terminal import EXIT_FAILED, EXIT_USAGE, JsonOption, answer, answering, fail
from inference.packages.inspection import short_words
from inference.parity.check import KernelPath, Pair, ParityReport, cut_pairs, random_pairs
from inference.parity.sweep import sweep
from inference.runtimes.options import RuntimeOptions
from inference.split.model import SplitModel, split_model

SEED = 0
# Parts have the whole's bytes only where no engine joins operators across the place of a cut.
_PATHS = {"tflite": ("litert", RuntimeOptions()), "onnx": ("onnx", RuntimeOptions(optimisation="none"))}
_SHOWN_PAIRS = 10

AtOption = Annotated[
    str, typer.Option(help="A position: 12, all behind it for the worker; or two, the worker's part: 5:20.")
]
OutOption = Annotated[Path | None, typer.Option(help="Folder for the parts.", file_okay=False)]
ThreadsOption = Annotated[
    str, typer.Option(help="Threads of headset and worker in the check: one number for both, or two: 1,2.")
]


def split(
    model: ModelArgument,
    *,
    at: AtOption = "",
    out: OutOption = None,
    verify: Annotated[bool, typer.Option(help="Run the parts against the whole in a child process.")] = True,
    check_all: Annotated[
        bool, typer.Option("--check-all", help="Write nothing; check every legal cut, and random pairs.")
    ] = False,
    pairs: Annotated[int, typer.Option(help="Random pairs of cuts with --check-all.", min=0)] = 50,
    threads: ThreadsOption = "1",
    shape: ShapeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a model into models of their own, and check that together they give the whole's bytes.

    Positions are those of `headway model inspect`. Exit code 1 where a byte differs.

    Example: headway model split hand_landmark_full.tflite --at 5:20 --out parts
    """
    if check_all == bool(at):
        fail("choose one: --at with --out to write parts, or --check-all", EXIT_USAGE)
    positions = _positions(at) if at else ()
    if positions and out is None:
        fail("--at needs a folder for the parts: add --out DIR", EXIT_USAGE)
    counts = _threads(threads)
    with answering():
        path = model_file(model)
        content, shapes = path.read_bytes(), chosen_shapes(shape)
        ready = split_model(content, shapes=shapes)
        runtime, options = _PATHS[ready.flow.file_format]
        device, worker = (KernelPath(runtime=runtime, options=options, threads=count) for count in counts)
        view: dict[str, Any] = {"model": path.name, "sha256": hashlib.sha256(content).hexdigest()}
        view |= {"format": ready.flow.file_format, "positions": len(ready.flow.operators) + 1}
        if out is None:
            chosen: Mapping[str, Sequence[Pair]] = {
                "cuts": cut_pairs(ready.cuts),
                "pairs": random_pairs(ready.cuts, count=pairs, seed=SEED),
            }
        else:
            pair = worker_pair(ready, positions)
            view |= _written(ready, pair, folder=out, stem=path.stem)
            chosen = {"parity": (pair,)} if verify else {}
        reports = _checked(path, chosen, device=device, worker=worker, shapes=shapes)
        view |= {"threads": list(counts)} | {name: _report_view(row) for name, row in reports.items()}
        answer(view, as_json=as_json, lines=_lines(view, reports))
        if not all(report.passed for report in reports.values()):
            raise typer.Exit(EXIT_FAILED)


def _positions(text: str) -> tuple[int, ...]:
    words = text.split(":")
    if len(words) > 2 or not all(word.isdecimal() for word in words):
        fail(f"--at {text!r}: give a position, or two with a colon between: 12 or 5:20", EXIT_USAGE)
    return tuple(int(word) for word in words)


def _threads(text: str) -> tuple[int, int]:
    words = text.split(",")
    if len(words) > 2 or not all(word.isdecimal() and 0 < int(word) < 1000 for word in words):
        fail(f"--threads {text!r}: give a number, or two with a comma between: 1 or 1,2", EXIT_USAGE)
    return int(words[0]), int(words[-1])


def _written(ready: SplitModel, pair: Pair, *, folder: Path, stem: str) -> dict[str, Any]:
    way = travels(ready, pair)
    return {
        "start": pair[0],
        "end": pair[1],
        "parts": write_parts(ready, pair, folder=folder, stem=stem),
        **way,
    }


def _checked(
    path: Path,
    chosen: Mapping[str, Sequence[Pair]],
    *,
    device: KernelPath,
    worker: KernelPath,
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, ParityReport]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        reports = {}
        for name, pairs in chosen.items():
            task = progress.add_task(f"checking {name}", total=len(pairs))
            reports[name] = sweep(
                path,
                pairs,
                device=device,
                worker=worker,
                shapes=shapes,
                hear=partial(progress.advance, task),
            )
        return reports


def _report_view(report: ParityReport) -> dict[str, Any]:
    return {
        "checked": report.pairs,
        "exact": report.exact,
        "max_difference": report.max_difference,
        "max_share": report.max_share,
        "differing": [list(pair) for pair in report.differing],
        "stock_difference": report.stock_difference,
        "fingerprints": list(report.fingerprints),
        "refused": report.refused,
        "passed": report.passed,
    }


def _lines(view: dict[str, Any], reports: dict[str, ParityReport]) -> list[str]:
    lines = []
    for part in view.get("parts", ()):
        span = f"operators {part['start']} to {part['end'] - 1}"
        lines.append(
            f"{part['role']:<6} {part['runs_on']:<8} {span:<20} {part['bytes']:>9} B  {part['file']}"
        )
    for way, words in (("up", "to the worker"), ("down", "back")):
        if way in view:
            names = ", ".join(
                short_words(row["name"], row["dtype"], row["shape"]) for row in view[way]["tensors"]
            )
            lines.append(f"{view[way]['bytes']} B {words}: {names}")
    for name, report in reports.items():
        lines.append(
            f"{name}: {report.exact} of {report.pairs} exact, largest difference {report.max_difference:g}"
        )
        lines += [f"  differs: {start}:{end}" for start, end in report.differing[:_SHOWN_PAIRS]]
        lines += [f"  refused: {report.refused}"] if report.refused else []
    return lines
