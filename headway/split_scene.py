"""Shell: ``headway demo --split``, one headset that runs a model together with a worker, and the proof that it may.

Broker, worker and headset as separate processes on this machine. The headset asks the worker for a placement, which
proves it in a child process and offers it; from then on frames go in parts. Afterwards frames of the same walk go
through the same worker once more and are compared with the whole model, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_node.errors import EdgeError
from edge_node.ring import Ring
from edge_node.sources import make_walk
from headway.cast import Cast, check_alive
from headway.errors import DemoError, ProvisionError
from headway.host import host_variant
from headway.photos import ensure_photos
from headway.provision import ensure_models, ensure_mosquitto
from headway.report import frames_of, headset_report, quantiles
from headway.split_check import HandModels, PartRoad, measure_placement, sensible_placement
from headway.story_report import claims_of, read_events, write_whole
from inference.errors import InferenceError
from inference.runtimes.registry import open_runtime
from inference.split.model import split_model

SITE, HEADSET, WORKER = "demo", "hs-1", "w-1"
DEADLINE_MS, DEVICE_CLASS, FPS = 100, "xr-fast", 30.0
CHECKED_FRAMES = 24
SHORTEST_S, NOMINAL_S = 10.0, 20.0
LOOK_EVERY_S = 0.25
RUNTIME = "litert"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScene:
    """One scene from set-up to report; ``work`` holds what it needs while it plays, ``out`` the report."""

    out: Path
    work: Path
    cache: Path
    tell: Tell

    def run(self, *, seconds: float) -> dict[str, Any]:
        """Play and write ``report.json`` and ``events.jsonl``.

        Raises:
            HeadwayError: something needed is missing, or a part of it died.
        """
        mosquitto = ensure_mosquitto(self.cache)
        models, landmark, ring = self._prepare()
        placement = sensible_placement(models.split.cuts)
        self.tell(
            f"operators {placement.start} to {placement.end} of {len(models.split.flow.operators)} go to the worker"
        )
        with Cast(folder=self.work, site=SITE, mosquitto=mosquitto) as cast:
            cast.start_broker()
            cast.start_worker(WORKER, models=landmark.parent, variant=host_variant())
            self._start_headset(cast, landmark, ring, place=f"{placement.start}:{placement.end}")
            _play(cast, seconds=seconds)
            claims = claims_of(cast.stop_children([HEADSET]))
            self.tell(f"comparing {CHECKED_FRAMES} frames in parts with the whole model")
            with PartRoad(cast.broker_url, site=SITE, worker=WORKER) as road:
                frames = [ring.frame(ring.index(number)) for number in range(ring.frames)]
                row = measure_placement(road, models, placement, frames=frames, count=CHECKED_FRAMES)
        events = read_events(self.work, [HEADSET], story=None)
        report = split_report(events, claims=claims, row=row, model=models.digest)
        write_whole(self.out / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
        write_whole(self.out / "report.json", json.dumps(report, indent=2) + "\n")
        return report

    def _prepare(self) -> tuple[HandModels, Path, Ring]:
        try:
            paths = ensure_models(self.cache)
            photos = ensure_photos(self.cache)[0].parent
            self.tell("rendering the walk over the photos")
            ring = make_walk(photos, out=self.work / "walk.ring", fps=FPS)
            variant = host_variant()
            landmark = paths[f"hand_landmark_{variant}"]
            content = landmark.read_bytes()
            models = HandModels.load(
                palm=paths[f"palm_detection_{variant}"],
                landmark=landmark,
                split=split_model(content),
                digest=hashlib.sha256(content).hexdigest(),
                runtime=open_runtime(RUNTIME),
            )
        except (InferenceError, EdgeError, ProvisionError) as error:
            raise DemoError(str(error)) from error
        return models, landmark, ring

    def _start_headset(self, cast: Cast, landmark: Path, ring: Ring, *, place: str) -> None:
        self.tell(f"starting {HEADSET} with policy split; {WORKER} proves the placement when it is asked")
        cast.start_headset(
            HEADSET,
            ["--models", str(landmark.parent), "--variant", host_variant(), "--policy", "split"]
            + ["--placement", place, "--deadline-ms", str(DEADLINE_MS), "--device-class", DEVICE_CLASS]
            + ["--fps", str(FPS), "--events", str(self.work / f"{HEADSET}.jsonl")],
            source=f"walk:{ring.path}",
        )


def _play(cast: Cast, *, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        check_alive(cast)
        time.sleep(LOOK_EVERY_S)


def split_report(
    events: Sequence[dict[str, Any]], *, claims: dict[str, dict[str, Any]], row: dict[str, Any], model: str
) -> dict[str, Any]:
    """The scene's report from the headset's lines, its summary and the comparison's row."""
    frames = frames_of(events, HEADSET)
    by_path: dict[str, list[float]] = {}
    for frame in frames:
        if frame["outcome"] != "none":
            by_path.setdefault(frame["path"], []).append(frame["latency_ms"])
    report: dict[str, Any] = {
        "scene": "split",
        "interrupted": False,
        "headsets": [headset_report(HEADSET, events, registered_s=None)],
        "split": {
            "placement": {"head_end": row["start"], "tail_start": row["end"], "kind": row["kind"]},
            "model_digest": model,
            "device_class": DEVICE_CLASS,
            "simulated": bool(claims.get(HEADSET, {}).get("simulated")),
            "bytes_up_per_frame": row["bytes_up"],
            "bytes_down_per_frame": row["bytes_down"],
            "paths": {
                path: {"frames": len(values), **quantiles(values, (50, 99))}
                for path, values in sorted(by_path.items())
            },
            "checked_frames": row["frames"],
            "identical_to_local": row["identical"],
        },
        "missed_aims": [],
    }
    report["shortfalls"] = _shortfalls(report, claims)
    return report


def _shortfalls(report: dict[str, Any], claims: dict[str, dict[str, Any]]) -> list[str]:
    split, (entry,) = report["split"], report["headsets"]
    found = [] if HEADSET in claims else [f"{HEADSET} gave no summary when it ended"]
    if not split["identical_to_local"]:
        found.append("results in parts differ from those of the whole model")
    if not entry["paths"]["split"]:
        found.append("no frame was answered in parts")
    if entry["none"]:
        found.append(f"{entry['none']} frames were left without an answer")
    return found


def summary(report: dict[str, Any], *, out: Path) -> str:
    """The scene in one line."""
    split = report["split"]
    paths = ", ".join(
        f"{row['frames']} by {path} (p50 {row['p50']} ms, p99 {row['p99']} ms)"
        for path, row in split["paths"].items()
    )
    place = split["placement"]
    compared = "identical to local" if split["identical_to_local"] else "compared, NOT all identical to local"
    return (
        f"done: operators {place['head_end']} to {place['tail_start']} ran at the worker, "
        f"{split['bytes_up_per_frame']} bytes up and {split['bytes_down_per_frame']} down per frame; {paths}; "
        f"{split['checked_frames']} frames {compared}; see report.json in {out}"
    )
