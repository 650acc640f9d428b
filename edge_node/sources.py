"""Where frames come from: one row per kind in ``SOURCES``, all behind the same two methods.

``walk`` and ``folder`` read a ring of ready frames; ``video``, ``webcam`` and ``rtsp`` are captured by a
second, niced process into a small shared ring (``live``). A source gives what is newest; it never waits.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_node.errors import SourceError
from edge_node.frames import Captured, Image, Source, SourcePlace
from edge_node.live import LiveSource
from edge_node.ring import Ring, open_ring, write_ring
from edge_node.source_file import without_login
from edge_node.walk import HEIGHT_PX, WIDTH_PX, plan_walk, render_walk

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
MAX_PHOTOS = 64
WALK_SECONDS = 12.0
PHOTO_SECONDS = 1.0  # how long a folder shows each photo


class RingSource:
    """Frames of a ring from an own starting point on. ``hold`` repeats each frame so often."""

    def __init__(self, ring: Ring, *, offset: int, hold: int = 1) -> None:
        self._ring = ring
        self._offset = offset
        self._hold = hold
        self.outages = 0
        self.ring_file = ring.path
        self.is_live = False

    def capture(self, frame_id: int) -> Captured | None:
        """The frame at this place of the walk."""
        index = self._ring.index((self._offset + frame_id) // self._hold)
        return Captured(image=self._ring.frame(index), ring_index=index)

    def close(self) -> None:
        """Nothing to end: the mapping goes with the object."""


def read_photos(folder: Path) -> list[Image]:
    """The photos of a folder in name order, RGB, at most ``MAX_PHOTOS``.

    Raises:
        SourceError: no folder, or no photo in it that can be read.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder: name one that holds photos")
    names = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)[:MAX_PHOTOS]
    images = [image for path in names if (image := cv2.imread(str(path), cv2.IMREAD_COLOR)) is not None]
    if not images:
        raise SourceError(f"no photo in {folder} can be read: put .jpg or .png files there")
    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8) for image in images]


def make_walk(folder: Path, *, out: Path, fps: float, seconds: float = WALK_SECONDS, seed: int = 1) -> Ring:
    """Render a walk over the photos of a folder into a ring file and open it.

    Raises:
        SourceError: no photos, or the file cannot be written.
    """
    photos = read_photos(folder)
    poses = plan_walk(photos=len(photos), frames=max(1, round(seconds * fps)), fps=fps, seed=seed)
    frames = render_walk(photos, poses, seed=seed)
    write_ring(out, frames, count=len(poses), height=HEIGHT_PX, width=WIDTH_PX, fps=fps)
    return open_ring(out)


def letterbox(image: Image) -> Image:
    """A photo shown whole on a grey 640x360 view."""
    height, width = image.shape[:2]
    fit = min(WIDTH_PX / width, HEIGHT_PX / height)
    size = (max(1, round(width * fit)), max(1, round(height * fit)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    view: Image = np.full((HEIGHT_PX, WIDTH_PX, 3), 96, dtype=np.uint8)
    top, left = (HEIGHT_PX - size[1]) // 2, (WIDTH_PX - size[0]) // 2
    view[top : top + size[1], left : left + size[0]] = small
    return view


def _open_walk(target: str, place: SourcePlace) -> Source:
    path = Path(target)
    if path.is_dir():
        ring = make_walk(path, out=place.state / "walk.ring", fps=place.fps, seed=place.seed)
    else:
        ring = open_ring(path)
    return RingSource(ring, offset=place.offset)


def _open_folder(target: str, place: SourcePlace) -> Source:
    photos = read_photos(Path(target))
    views: Iterator[Image] = (letterbox(photo) for photo in photos)
    out = place.state / "folder.ring"
    write_ring(out, views, count=len(photos), height=HEIGHT_PX, width=WIDTH_PX, fps=place.fps)
    return RingSource(open_ring(out), offset=place.offset, hold=max(1, round(PHOTO_SECONDS * place.fps)))


def _open_live(kind: str) -> Callable[[str, SourcePlace], Source]:
    def opener(target: str, place: SourcePlace) -> Source:
        if kind == "video" and not Path(target).is_file():
            raise SourceError(f"there is no video {target}: check the path")
        return LiveSource.start(kind=kind, target=target, ring_file=place.state / "live.ring", fps=place.fps)

    return opener


SOURCES: dict[str, Callable[[str, SourcePlace], Source]] = {
    "walk": _open_walk,
    "folder": _open_folder,
    "video": _open_live("video"),
    "webcam": _open_live("webcam"),
    "rtsp": _open_live("rtsp"),
}


def open_source(text: str, place: SourcePlace) -> Source:
    """Open ``kind:target``; ``rtsp://…`` stands for itself.

    Raises:
        SourceError: unknown kind, or nothing there that can be read.
    """
    kind, _, target = text.partition(":")
    opener = SOURCES.get(kind)
    if opener is None or not target:
        forms = "walk:FILE, walk:DIR, folder:DIR, video:FILE, webcam:0, rtsp://…"
        raise SourceError(f"source {without_login(text)!r} is of no known kind: use one of {forms}")
    place.state.mkdir(parents=True, exist_ok=True)
    return opener(text if kind == "rtsp" else target, place)
