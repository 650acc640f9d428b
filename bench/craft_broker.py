"""Measures split hand tracking over a real broker: five placements, each compared byte for byte with the whole model.

Mosquitto and ``worker run`` are processes of their own; this process is the headset. ``python -m bench.craft_broker
--out FILE``.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_node.frames import Image
from edge_node.sources import make_walk
from headway.cast import Cast
from headway.photos import ensure_photos
from headway.provision import ensure_models, ensure_mosquitto
from headway.split_check import HandModels, PartRoad, measure_placement, sensible_placement
from inference.errors import QuantiseRefusedError
from inference.packages.making import Making, make_int8_package
from inference.quantize.photo_sources import photo_paths
from inference.runtimes.registry import open_runtime
from inference.split.model import SplitModel, split_model
from observability import log
from schemas.placements import Placement
from schemas.places import cache_dir

SITE, WORKER, VARIANT = "bench", "w-1", "full"
LANDMARK, PALM = f"hand_landmark_{VARIANT}", f"palm_detection_{VARIANT}"
WALK_S, FPS = 8.0, 30.0
FRAMES = 100

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One placement of a model: ``start`` and ``end`` are its cuts, 0 as ``end`` is the model's end."""

    model: str
    start: int
    end: int

    def placement(self, split: SplitModel) -> Placement:
        """As positions of this model."""
        return Placement(start=self.start, end=self.end or len(split.flow.operators))


# cuts of the float model: 20 and 59 carry the fewest bytes of their half, 42 is the last before the channels grow
ROWS = (Row("float", 20, 0), Row("float", 0, 42), Row("float", 20, 59), Row("float", 0, 0))
WITHOUT_INT8 = Row("float", 42, 57)


def measure(*, frames: int = FRAMES, int8: bool = True, tell: Tell = print) -> list[dict[str, Any]]:
    """Rows of the report's key ``broker``; without ``int8``, or where the gate refuses it, all are of the float model."""
    cache = cache_dir(os.environ)
    with tempfile.TemporaryDirectory(prefix="headway-broker-") as folder:
        work = Path(folder)
        models = _models(work / "models", cache=cache, int8=int8, tell=tell)
        images = _images(work, cache=cache)
        rows = (*ROWS, _int8_row(models["int8"].split) if "int8" in models else WITHOUT_INT8)
        with _site(work, cache=cache) as cast, PartRoad(cast.broker_url, site=SITE, worker=WORKER) as road:
            measured = []
            for row in rows:
                loaded = models[row.model]
                placement = row.placement(loaded.split)
                found = measure_placement(road, loaded, placement, frames=images, count=frames)
                found["model"] = f"{LANDMARK} {row.model}"
                measured.append(found)
                tell(
                    f"{found['model']} {found['start']}:{found['end']} {found['kind']}: {found['frames']} frames, "
                    f"identical {found['identical']}, {found['bytes_up']} B up, {found['bytes_down']} B down, "
                    f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms, local p50 {found['local_p50_ms']} ms"
                )
    return measured


def _int8_row(split: SplitModel) -> Row:
    """A U-shape of the quantised model, whose operators are others than the float model's."""
    placement = sensible_placement(split.cuts)
    return Row("int8", placement.start, placement.end)


def _models(folder: Path, *, cache: Path, int8: bool, tell: Tell) -> dict[str, HandModels]:
    """The models that the worker will find in ``folder``, loaded as a headset has them."""
    paths = ensure_models(cache)
    folder.mkdir()
    for name in (LANDMARK, PALM):
        shutil.copyfile(paths[name], folder / paths[name].name)
    files = {"float": paths[LANDMARK]}
    if int8:
        making = Making(
            model=paths[LANDMARK],
            task="hands",
            photos=photo_paths(ensure_photos(cache)[0].parent),
            helpers={"palm": paths[PALM]},
            out=folder / "packages",
            name="hand-landmark-full",
            version="1-int8",
        )
        try:
            files["int8"] = make_int8_package(making, tell=tell).model_path
        except QuantiseRefusedError as error:
            tell(f"the gate refused int8, measuring the float model alone: {error}")
    runtime = open_runtime("litert")
    return {
        word: HandModels.load(
            palm=paths[PALM],
            landmark=path,
            split=split_model(path.read_bytes()),
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            runtime=runtime,
        )
        for word, path in files.items()
    }


def _images(work: Path, *, cache: Path) -> list[Image]:
    ring = make_walk(ensure_photos(cache)[0].parent, out=work / "walk.ring", fps=FPS, seconds=WALK_S)
    return [ring.frame(number) for number in range(ring.frames)]


@contextmanager
def _site(work: Path, *, cache: Path) -> Iterator[Cast]:
    with Cast(folder=work / "site", site=SITE, mosquitto=ensure_mosquitto(cache)) as cast:
        cast.start_broker()
        cast.start_worker(WORKER, models=work / "models", variant=VARIANT)
        yield cast


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--no-int8", action="store_true")
    arguments = parser.parse_args()
    log.configure("bench", level="warning")
    rows = measure(frames=arguments.frames, int8=not arguments.no_int8)
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
