"""The command ``headway model profile``: measures a model's parts on this machine and keeps what it found."""

import hashlib
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from inference.commands.model_files import ModelArgument, ShapeOption, chosen_shapes, model_file
from inference.commands.terminal import JsonOption, answer, answering, say_step
from inference.hardware import Hardware, this_machine
from inference.packages.package import open_package
from inference.profile.coding import measured_packing, measured_rungs
from inference.profile.loop import FrameLoop, integer_reference
from inference.profile.measure import ProfileOptions, RunFacts, SiteTimes, Subject, measured_sites
from inference.profile.picture import Picture, jpeg_encoder, model_inputs, picture_input, read_frame
from inference.profile.quantiles import MAX_DRIFT
from inference.profile.report import document_fields, profile_report
from inference.profile.sparse import MIN_CUTS
from inference.profile.store import (
    Estimate,
    ProfileDocument,
    check_class,
    profiles_dir,
    store_profile,
    write_profile,
)
from inference.profile.stored import SCHEMA
from inference.runtimes.base import Runtime
from inference.runtimes.options import RuntimeOptions
from inference.runtimes.registry import WORDS, open_runtime, row_of
from inference.split.model import split_model
from schemas.places import cache_dir

JPEG_QUALITY = 80
_CUTS_OF_PACKING = 12
_ENGINES = {"tflite": "litert", "onnx": "onnx"}
_EXACT = (
    "none"  # onnxruntime would join operators across cuts, so that parts are not what the whole is made of
)
_PHOTOS = ("*.jpg", "*.jpeg", "*.png")


def profile(
    model: ModelArgument,
    *,
    hardware_class: Annotated[
        str, typer.Option("--class", help="Name of this hardware; default: its fingerprint.")
    ] = "",
    runtime: Annotated[str, typer.Option(help=f"Engine: {', '.join(WORDS)}; default: by the file.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of the engine.", min=1, max=64)] = 1,
    fps: Annotated[float, typer.Option(help="Frames a second as deployed; 0: back to back.", min=0)] = 30,
    samples: Annotated[int, typer.Option(help="Runs of each part; 200 bear a p99.", min=5)] = 200,
    sparse: Annotated[
        int | None, typer.Option(help="Measure only so many cuts, interpolate the rest.", min=MIN_CUTS)
    ] = None,
    frame: Annotated[Path | None, typer.Option(help="A photo to run on; default: one of the cache.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order and of the intervals.", min=0)] = 0,
    shape: ShapeOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the profile here instead of the store.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the parts before and behind every legal cut, paced and with JPEG encoding in between.

    It takes about cuts x samples / fps seconds: seven minutes for 64 cuts, with --sparse 13 one and a half. Use a
    machine that does nothing else.

    Example: headway model profile hand_landmark_full.tflite --class hmd --sparse 13
    """
    with answering():
        name = check_class(hardware_class) if hardware_class else ""
        path = open_package(model).model_path if model.is_dir() else model_file(model)
        content, shapes, photo = path.read_bytes(), chosen_shapes(shape), frame or _cached_photo()
        split, picture = split_model(content, shapes=shapes), read_frame(photo)
        choices = RuntimeOptions(optimisation=_EXACT)
        word = row_of(runtime) if runtime else _ENGINES[split.flow.file_format]
        engine = open_runtime(word, options=choices)
        subject = Subject(name=path.name, split=split, inputs=model_inputs(split.flow, picture))
        options = ProfileOptions(samples=samples, frames=min(10, samples), sparse=sparse, threads=threads)
        sites, facts = _measured(subject, picture, engine=engine, options=options, fps=fps, seed=seed)
        machine = this_machine(engine, choices)
        document = ProfileDocument.model_validate(
            {
                "hardware": name or machine.fingerprint,
                "model_sha256": hashlib.sha256(content).hexdigest(),
                "shapes": shapes,
                "threads": threads,
                "fps": fps,
                "real_picture": photo is not None,
                **_of_machine(machine),
                **_summary(subject, sites, facts, picture=picture, engine=engine, seed=seed),
            }
        )
        stored = _kept(document, out)
        view = {"path": str(stored), **document.model_dump(mode="json", by_alias=True)}
        answer(view, as_json=as_json, lines=_lines(document, stored))


def _of_machine(machine: Hardware) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "fingerprint": machine.fingerprint,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": machine.cpu,
        "cores": machine.cores,
        "flags": machine.flags,
        "runtime": machine.runtime,
        "runtime_version": machine.runtime_version,
        "delegate": machine.delegate,
        "jpeg_quality": JPEG_QUALITY,
    }


def _kept(document: ProfileDocument, out: Path | None) -> Path:
    """Where the profile was written: the place asked for, else the store."""
    if out is None:
        return store_profile(document, folder=profiles_dir(os.environ))
    write_profile(document, out)
    return out


def _measured(
    subject: Subject, picture: Picture, *, engine: Runtime, options: ProfileOptions, fps: float, seed: int
) -> tuple[list[SiteTimes], RunFacts]:
    encode = jpeg_encoder(picture, quality=JPEG_QUALITY)
    loop = FrameLoop(fps=fps, encode=encode, reference=integer_reference())
    cuts = min(options.sparse or len(subject.positions), len(subject.positions))
    about = f", about {cuts * options.samples / fps:.0f} s" if fps else ""
    say_step(
        f"{subject.name}: {cuts} of {len(subject.positions)} cuts, {options.samples} samples each{about} "
        "where nothing disturbs"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} blocks"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(subject.name, total=None)
        sites, facts = measured_sites(
            [subject],
            runtime=engine,
            loop=loop,
            options=options,
            rng=np.random.default_rng(seed),
            progress=lambda done, total: bar.update(task, completed=done, total=max(done, total)),
        )
    return sites[0], facts


def _summary(
    subject: Subject,
    sites: list[SiteTimes],
    facts: RunFacts,
    *,
    picture: Picture,
    engine: Runtime,
    seed: int,
) -> dict[str, Any]:
    """The measured fields, with those of packing and JPEG where the model takes pictures."""
    report = profile_report(subject, sites, rng=np.random.default_rng(seed))
    way = picture_input(subject.split.flow)
    coded: dict[str, Any] = {}
    if way is not None:
        measured = [cut for cut in subject.split.cuts if cut.position in report.measured[1:-1]]
        some = measured[:: -(-len(measured) // _CUTS_OF_PACKING) or 1]
        coded = {
            "packing": measured_packing(subject.split, subject.inputs, some, runtime=engine),
            "rungs": measured_rungs(subject.split, way, picture, runtime=engine, levels=report.levels),
        }
    return {"model": subject.name, **document_fields(report, facts, max_drift=MAX_DRIFT), **coded}


def _cached_photo() -> Path | None:
    folder = cache_dir(os.environ) / "photos"
    return next((path for pattern in _PHOTOS for path in sorted(folder.glob(pattern))), None)


def _lines(document: ProfileDocument, path: Path) -> list[str]:
    steady, sparse, last = document.steadiness, document.sparse, document.positions[-1]
    whole = next(part for part in document.parts if (part.start, part.end) == (0, last))
    hardware = f"{document.cpu}, {document.runtime} {document.runtime_version}, threads: {document.threads}"
    drifted = f"{steady.discarded} of {steady.blocks} blocks drifted and do not count"
    lines = [
        f"{document.model} on {document.hardware} ({hardware}): {path}",
        f"  whole: {'  '.join(map(_quantile, whole.quantiles))}",
        f"  memory of the whole: {whole.rss_bytes / 1e6:.1f} MB",
        f"  {len(sparse.measured)} of {sparse.legal} cuts measured in {steady.seconds:.0f} s; {drifted}",
    ]
    if len(sparse.measured) < sparse.legal and sparse.prefix_median_pct is not None:
        lines.append(
            f"  error between measured cuts, each left out once: median {sparse.prefix_median_pct:.1f} %, "
            f"worst {sparse.prefix_worst_pct:.1f} %"
        )
    return lines


def _quantile(row: Estimate) -> str:
    if row.value is None or row.low is None or row.high is None:
        return f"p{row.level * 100:g} unknown ({row.reason})"
    return f"p{row.level * 100:g} {row.value / 1e6:.3f} ms [{row.low / 1e6:.3f}, {row.high / 1e6:.3f}]"
