"""Shell: what the demo plays with: real models, real photos, a walk over them, packages ready to publish.

Everything is made with the same functions the commands use. The source may be the user's own; the int8
model is always calibrated on photos that show hands, and left out, with the gate's reason, where it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge_node.errors import SourceError
from edge_node.ring import Image, write_ring
from edge_node.source_file import without_login
from edge_node.sources import letterbox, make_walk
from headway.errors import DemoError, ProvisionError
from headway.host import host_variant
from headway.photos import ensure_photos
from headway.provision import ensure_models
from inference.errors import InferenceError, QuantiseRefusedError
from inference.packages.making import Making, make_float_package, make_int8_package
from inference.packages.package import Package
from inference.packages.zoo import known
from inference.quantize.photo_sources import photo_paths

FPS = 30.0
VIDEO_FRAMES = 600  # of a user's video: 20 s, 400 MB of frames at 640 x 360
LANDMARK, LANDMARK_LITE, PALM = "hand_landmark_full", "hand_landmark_lite", "palm_detection_full"

CORES_FOR_FULL = (
    4  # three headsets and a worker with the full models need 1.2 cores more than with the lite ones
)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything the play needs. ``sources`` has one entry per headset, in the form `node run` takes.

    ``ring`` holds the frames of the sources that are walks; ``small`` is the int8 package, or the float lite
    one where the gate refused int8 (``refused`` then says why). ``variant``: the models headsets are delivered with and the worker runs.
    """

    models: Path
    sources: tuple[str, ...]
    ring: Path | None
    full: Package
    small: Package
    lite: Package
    variant: str
    refused: tuple[str, ...]

    @property
    def other(self) -> Package:
        """A sound package that no headset of the demo has."""
        return self.lite if self.variant == "full" and not self.refused else self.full


def prepare(folder: Path, *, cache: Path, source: str | None, headsets: int, tell: Tell) -> Material:
    """Fetch, render, quantise and pack.

    Raises:
        DemoError: the source, the photos or the models cannot be had; names what to do.
    """
    try:
        tell("importing the MediaPipe hand models")
        models = ensure_models(cache)
        photos = _photos(cache, source)
        tell("rendering the walk over the photos" if source is None else f"reading {without_login(source)}")
        sources, ring = _sources(folder, photos=photos, source=source, headsets=headsets)
        making = _maker(folder / "packages", models=models, photos=photos)
        tell("packing the float models")
        full, lite = (
            make_float_package(making(LANDMARK, "1-float")),
            make_float_package(making(LANDMARK_LITE, "1-float")),
        )
        small, refused = _int8(making(LANDMARK, "1-int8"), lite=lite, tell=tell)
    except (InferenceError, SourceError, ProvisionError) as error:
        raise DemoError(str(error)) from error
    return Material(
        models=models[LANDMARK].parent,
        sources=sources,
        ring=ring,
        full=full,
        small=small,
        lite=lite,
        variant=host_variant(),
        refused=refused,
    )


def _photos(cache: Path, source: str | None) -> Path:
    """The folder of photos that the models are calibrated on and the walk goes over."""
    if source is not None and Path(source).is_dir():
        return Path(source)
    try:
        return ensure_photos(cache)[0].parent
    except ProvisionError as error:
        raise DemoError(
            f"{error}; or pass --source with a folder of your own photos that show hands"
        ) from error


def _sources(
    folder: Path, *, photos: Path, source: str | None, headsets: int
) -> tuple[tuple[str, ...], Path | None]:
    """What each headset looks at, and the ring behind it."""
    ring = folder / "walk.ring"
    if source is None or Path(source).is_dir():
        make_walk(photos, out=ring, fps=FPS)
    elif Path(source).is_file():
        _ring_of_video(Path(source), ring)
    else:
        # One camera serves one headset; the others walk over the photos.
        camera = f"webcam:{source}" if source.isdecimal() else source
        if not camera.startswith(("webcam:", "rtsp://", "rtsps://")):
            raise DemoError(
                f"no source {without_login(source)!r}: pass a webcam's number, a video file, a folder of photos or an rtsp:// address"
            )
        make_walk(photos, out=ring, fps=FPS)
        return (camera, *[f"walk:{ring}"] * (headsets - 1)), ring
    return (f"walk:{ring}",) * headsets, ring


def _ring_of_video(video: Path, ring: Path) -> None:
    """Frames of a video, scaled to the headset's camera, as a ring."""
    capture = cv2.VideoCapture(str(video))
    frames: list[Image] = []
    try:
        while len(frames) < VIDEO_FRAMES:
            read, image = capture.read()
            if not read:
                break
            frames.append(letterbox(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
    finally:
        capture.release()
    if not frames:
        raise DemoError(
            f"{video} is no video that can be read: pass an .mp4 or .avi, a folder of photos, or a webcam's number"
        )
    height, width = frames[0].shape[:2]
    write_ring(ring, frames, count=len(frames), height=height, width=width, fps=FPS)


def _maker(out: Path, *, models: dict[str, Path], photos: Path) -> Callable[[str, str], Making]:
    shown = photo_paths(photos)

    def making(model: str, version: str) -> Making:
        row = known(model)[0]
        return Making(
            model=models[model],
            task="hands",
            photos=shown,
            helpers={"palm": models[PALM]},
            out=out,
            name=model.replace("_", "-"),
            version=version,
            licence=row.licence,
            source=row.wheel,
        )

    return making


def _int8(making: Making, *, lite: Package, tell: Tell) -> tuple[Package, tuple[str, ...]]:
    try:
        return make_int8_package(making, tell=tell), ()
    except QuantiseRefusedError as error:
        tell(f"int8 refused ({error}); the float lite model is deployed instead")
        return lite, tuple(error.reasons)
