"""Shell: ``headway demo``, the main job end to end on this machine. The composition root of the play.

Set-up first (models, photos, walk, int8, packages), then broker, manager, worker and three headsets as
separate processes, then the timeline, then the report and the pictures. Interrupted or failed, it still ends
its children and writes what it knows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from math import inf
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from broker.errors import RoadError
from broker.reactor import Reactor
from headway import split_scene
from headway.album import Album
from headway.board import Board, TelemetryFeed
from headway.cast import Cast
from headway.errors import HeadwayError
from headway.link import Link
from headway.material import Material, prepare
from headway.operations import Operations
from headway.output_folder import PICTURES, WORK, alone, clear
from headway.play import GROUP, Play
from headway.provision import ensure_mosquitto
from headway.report import outage_words
from headway.sabotage import bad_rollouts
from headway.story_report import claims_of, read_events, write_report
from headway.timeline import NOMINAL_S, SHORTEST_S, timeline
from inference.errors import InferenceError
from inference.packages.publish import publish
from observability import log
from schemas.places import cache_dir

SITE = "demo"
HEADSETS = ("hs-1", "hs-2", "hs-3")
DEADLINE_MS = 100
DEVICE_CLASS = "xr-slow"
LABELS = {"shortfalls": "broken promise", "missed_aims": "aim missed on this machine"}
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_INTERRUPTED = 1, 2, 3, 130


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(help=f"Length; at least {SHORTEST_S:g}, with --split {split_scene.SHORTEST_S:g}."),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Show one model split between a headset and a worker instead.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="Webcam number, video, folder of photos or rtsp:// address; default: a photo walk."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report and pictures.")] = Path("out/demo"),
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw overlay and latency plot.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")] = False,
) -> None:
    """Drive the main job end to end: register, deploy, survive an outage, refuse three bad rollouts.

    Writes report.json, events.jsonl, overlay.mp4, overlay.jpg and latency.png to the output folder. Exit codes:
    0 all promises kept, 1 one broken or a part died, 2 usage, 3 something needed is missing, 130 interrupted.

    With --split: one headset and one worker share a model; the report says at what cost and that it is exact.

    Example: headway demo --seconds 30 --json
    """
    length_s = seconds if seconds is not None else split_scene.NOMINAL_S if split else NOMINAL_S
    try:
        _check(length_s, split=split, source=source)
    except ValueError as error:
        typer.echo(f"headway demo: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error
    console = Console(stderr=True)
    log.configure("demo", level="warning")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with alone(out):
            stage = _Stage(out=out, console=console)
            report = (
                stage.run_split(seconds=length_s)
                if split
                else stage.run(seconds=length_s, source=source, pictures=pictures)
            )
    except HeadwayError as error:
        console.print(f"headway demo: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(EXIT_UNAVAILABLE) from error
    except KeyboardInterrupt:
        console.print("headway demo: interrupted; every child has ended, no report was finished")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _conclude(report, out=out, console=console, as_json=as_json)


def _check(seconds: float, *, split: bool, source: str | None) -> None:
    """Refuse what cannot be played with a ValueError."""
    if not split:
        timeline(seconds)
    elif source is not None:
        raise ValueError("--split shows the photo walk: leave --source out")
    elif not split_scene.SHORTEST_S <= seconds < inf:
        raise ValueError(f"--seconds is {seconds:g}: --split takes at least {split_scene.SHORTEST_S:g}")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class _Stage:
    """One demo from set-up to report."""

    def __init__(self, *, out: Path, console: Console) -> None:
        self._out, self._console = out, console
        self._work = out / WORK
        self._started_s = time.monotonic()

    def run_split(self, *, seconds: float) -> dict[str, Any]:
        """Play the scene of one model in two places; returns its report."""
        clear(self._out)
        scene = split_scene.SplitScene(
            out=self._out, work=self._work, cache=cache_dir(os.environ), tell=self._tell
        )
        return scene.run(seconds=seconds)

    def run(self, *, seconds: float, source: str | None, pictures: bool) -> dict[str, Any]:
        """Set up, play, report; returns the report."""
        clear(self._out)
        cache = cache_dir(os.environ)
        mosquitto = ensure_mosquitto(cache)
        material = prepare(self._work, cache=cache, source=source, headsets=len(HEADSETS), tell=self._tell)
        self._tell_agreement(material)
        setup_s = time.monotonic() - self._started_s
        facts: dict[str, Any] = {
            "setup_s": round(setup_s, 1),
            "seconds": 0.0,
            "host_load": None,
            "variant": material.variant,
            "interrupted": False,
            "error": None,
        }
        cast = Cast(folder=self._work, site=SITE, mosquitto=mosquitto)
        with cast, Reactor(name="board") as reactor:
            play = self._play(cast, reactor, material, seconds=seconds, facts=facts)
        story = play.story if play else None
        events = read_events(self._work, HEADSETS, story=story)
        report = write_report(
            self._out, events=events, story=story, headsets=HEADSETS, material=material, facts=facts
        )
        if pictures and play is not None:
            self._tell("drawing the pictures")
            Album(self._out, ring=material.ring, headsets=HEADSETS).draw(events, story=play.story)
        return report

    def _play(
        self, cast: Cast, reactor: Reactor, material: Material, *, seconds: float, facts: dict[str, Any]
    ) -> Play | None:
        """Everything between the first child's start and the last one's end; failures become facts."""
        play: Play | None = None
        try:
            self._tell("starting broker, manager and worker")
            facts["broker"] = {
                "engine": "mosquitto",
                "url": cast.start_broker(),
                "version": _version(cast),
                "protocol": "5",
            }
            cast.start_manager()
            cast.start_worker("w-1", models=material.models, variant=material.variant)
            host, _, port = cast.broker_url.removeprefix("mqtt://").partition(":")
            with Link(host, int(port)) as link:
                play = self._rehearse(cast, reactor, material, link=link, seconds=seconds)
                psutil.cpu_percent()  # starts the interval that the next call measures
                with play.board as board:
                    started_ns = self._start_headsets(cast, material, link=link)
                    play.register(started_ns)
                    play.operations.command("group", "add", GROUP, *HEADSETS[:2])
                    play.perform(seconds)
                    board.note(play.elapsed_s(), "curtain")
                    play.story.claims = claims_of(cast.stop_children(list(HEADSETS)))  # while the link stands
        except KeyboardInterrupt:
            facts["interrupted"] = True
            self._tell("interrupted: ending the children and writing what is known")
        except (HeadwayError, InferenceError, RoadError) as error:
            facts["error"] = str(error)
        finally:
            if play is not None:
                play.story.claims |= claims_of(cast.stop_children(list(HEADSETS)))
                facts["host_load"] = round(psutil.cpu_percent() / 100, 2)
                facts["seconds"] = round(play.elapsed_s(), 1) if play.story.start_ns else 0.0
                play.operations.close()
        return play

    def _rehearse(
        self, cast: Cast, reactor: Reactor, material: Material, *, link: Link, seconds: float
    ) -> Play:
        """Publish the packages and make the group."""
        operations = Operations(cast.manager_url)
        self._tell("publishing the models and creating the group")
        for package in {material.full.digest: material.full, material.small.digest: material.small}.values():
            operations.command("model", "publish", str(package.directory))
        operations.command("group", "create", GROUP)
        bad = bad_rollouts(sound=material.small, other=material.other, out=self._work / "bad")
        for rollout in bad:
            publish(rollout.package, manager=cast.manager_url)  # past the gate of `headway model publish`
        feed = TelemetryFeed(url=cast.broker_url, site=SITE, reactor=reactor)
        return Play(
            cast=cast,
            operations=operations,
            link=link,
            board=Board(self._console, feed.newest, seconds=seconds),
            headsets=HEADSETS,
            small=material.small,
            bad=bad,
        )

    def _start_headsets(self, cast: Cast, material: Material, *, link: Link) -> dict[str, int]:
        started_ns = {}
        for number, (headset, source) in enumerate(zip(HEADSETS, material.sources, strict=True)):
            started_ns[headset] = time.monotonic_ns()
            cast.start_headset(
                headset,
                ["--models", str(material.models), "--variant", material.variant]
                + ["--policy", "local", "--deadline-ms", str(DEADLINE_MS), "--offset", str(97 * number)]
                + ["--device-class", DEVICE_CLASS]
                + ["--events", str(self._work / f"{headset}.jsonl")],
                source=source,
                broker_url=link.url if number == 0 else None,
            )
        return started_ns

    def _tell(self, text: str) -> None:
        line = f"{time.monotonic() - self._started_s:5.1f} s  {text}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _tell_agreement(self, material: Material) -> None:
        for name, record in material.small.manifest.agreement.items():
            figures = ", ".join(f"{key} {value}" for key, value in record.items())
            self._tell(f"int8 agrees with float on {name}: {figures}")


def _version(cast: Cast) -> str:
    assert cast.broker is not None
    return cast.broker.version


def _conclude(report: dict[str, Any], *, out: Path, console: Console, as_json: bool) -> None:
    """Say how it went in one line and choose the exit status."""
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    if report["interrupted"]:
        console.print(f"interrupted; a partial report is in {out / 'report.json'}")
        raise typer.Exit(EXIT_INTERRUPTED)
    for kind, style in (("shortfalls", "red"), ("missed_aims", "yellow")):
        for text in report[kind]:
            console.print(
                f"{LABELS[kind]}: {text}", style=style, highlight=False, markup=False, soft_wrap=True
            )
    if report["shortfalls"]:
        raise typer.Exit(EXIT_FAILED)
    console.print(_summary(report, out=out), highlight=False, soft_wrap=True)


def _summary(report: dict[str, Any], *, out: Path) -> str:
    if "split" in report:
        return split_scene.summary(report, out=out)
    total = {name: sum(entry[name] for entry in report["headsets"]) for name in ("scheduled", "late")}
    made = ", ".join(name for name in PICTURES if (out / name).exists())
    outage = outage_words(report["outage"])
    return (
        f"done: {total['scheduled']} frames, none without an answer, {total['late']} late; "
        f"{outage + '; ' if outage else ''}1 rollout succeeded, 3 bad ones refused; see {', '.join(filter(None, (made, 'report.json')))} in {out}"
    )
