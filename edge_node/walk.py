"""Pure core: a virtual head that pans, zooms and turns over photos, seen through an imperfect camera.

``plan_walk`` draws the path (seeded: equal arguments give equal poses); ``render`` turns one pose into
pixels with motion blur by angular speed, exposure drift, noise, occluders and exits. Claims about tracking
come from real videos; the walk serves latency and outages.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 640, 360
SHOT_S = (2.5, 4.0)  # how long the head stays with one photo
EXIT_S = (0.5, 1.0)  # how long the view leaves the photo between two shots
OCCLUSION_S = (0.5, 2.0)
OCCLUSION_CHANCE = 0.35  # per shot
GREY = (96, 96, 96)
OCCLUDER = (58, 62, 70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the head looks at one frame. ``x``, ``y`` are fractions of the photo, ``zoom`` 1 shows all of it."""

    photo: int
    x: float
    y: float
    zoom: float
    angle_rad: float
    exposure: float  # factor on brightness
    occluder_x: float | None  # left edge of a dark bar as a fraction of the view, None: nothing in the way
    speed_px: float = 0.0  # movement since the last frame, in pixels of the view
    heading_rad: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sway:
    """A slow, bounded, smooth wander: two sines with drawn periods and phases."""

    amplitude: float
    periods_s: tuple[float, float]
    phases: tuple[float, float]

    def at(self, t_s: float) -> float:
        slow, fast = (
            math.sin(2 * math.pi * t_s / period + phase)
            for period, phase in zip(self.periods_s, self.phases, strict=True)
        )
        return self.amplitude * (0.7 * slow + 0.3 * fast)


def _sway(rng: np.random.Generator, amplitude: float) -> _Sway:
    slow_s, fast_s = rng.uniform(2.5, 5.0), rng.uniform(0.8, 1.6)
    return _Sway(
        amplitude=amplitude,
        periods_s=(float(slow_s), float(fast_s)),
        phases=(float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0, 2 * math.pi))),
    )


def plan_walk(*, photos: int, frames: int, fps: float, seed: int) -> list[Pose]:
    """The poses of a walk over ``photos`` photos."""
    rng = np.random.default_rng(seed)
    poses: list[Pose] = []
    shot = 0
    while len(poses) < frames:
        poses.extend(_shot(rng, photo=shot % photos, fps=fps))
        shot += 1
    return _with_speed(poses[:frames])


def _shot(rng: np.random.Generator, *, photo: int, fps: float) -> list[Pose]:
    """One photo: come in, sway over it (perhaps with something in the way), leave sideways."""
    stay = round(float(rng.uniform(*SHOT_S)) * fps)
    leave = round(float(rng.uniform(*EXIT_S)) * fps)
    x, y, angle = _sway(rng, 0.07), _sway(rng, 0.05), _sway(rng, 0.16)
    zoom, light = _sway(rng, 0.08), _sway(rng, 0.12)
    side = 1.0 if rng.random() < 0.5 else -1.0
    hidden = _occlusion(rng, stay=stay, fps=fps)
    poses = []
    for step in range(stay + leave):
        t_s = step / fps
        away = max(0, step - stay + 1) / leave
        poses.append(
            Pose(
                photo=photo,
                x=0.5 + x.at(t_s) + side * 1.15 * math.sin(away * math.pi / 2),
                y=0.5 + y.at(t_s),
                zoom=1.06 + zoom.at(t_s),
                angle_rad=angle.at(t_s),
                exposure=1.0 + light.at(t_s),
                occluder_x=hidden.get(step),
            )
        )
    return poses


def _occlusion(rng: np.random.Generator, *, stay: int, fps: float) -> dict[int, float]:
    """Steps at which a bar crosses the view, with its left edge."""
    length = min(stay // 2, round(float(rng.uniform(*OCCLUSION_S)) * fps))
    first = int(rng.integers(0, max(1, stay - length)))
    if rng.random() >= OCCLUSION_CHANCE:
        return {}
    return {first + step: -0.5 + 1.5 * step / length for step in range(length)}


def _with_speed(poses: Sequence[Pose]) -> list[Pose]:
    moved = [poses[0]]
    for before, pose in itertools.pairwise(poses):
        dx = (pose.x - before.x) * WIDTH_PX * pose.zoom
        dy = (pose.y - before.y) * HEIGHT_PX * pose.zoom
        turn_px = abs(pose.angle_rad - before.angle_rad) * WIDTH_PX / 4
        cut = pose.photo != before.photo
        moved.append(
            Pose(
                photo=pose.photo,
                x=pose.x,
                y=pose.y,
                zoom=pose.zoom,
                angle_rad=pose.angle_rad,
                exposure=pose.exposure,
                occluder_x=pose.occluder_x,
                speed_px=0.0 if cut else math.hypot(dx, dy) + turn_px,
                heading_rad=math.atan2(dy, dx),
            )
        )
    return moved


def render(photo: Image, pose: Pose, *, rng: np.random.Generator) -> Image:
    """The view (360, 640, 3) of a photo (H, W, 3) RGB from a pose."""
    height, width = photo.shape[:2]
    fit = min(WIDTH_PX / width, HEIGHT_PX / height) * pose.zoom
    cos, sin = math.cos(pose.angle_rad) * fit, math.sin(pose.angle_rad) * fit
    cx, cy = pose.x * width, pose.y * height
    matrix = np.array(
        [
            [cos, -sin, WIDTH_PX / 2 - cos * cx + sin * cy],
            [sin, cos, HEIGHT_PX / 2 - sin * cx - cos * cy],
        ]
    )
    view = cv2.warpAffine(
        photo,
        matrix,
        (WIDTH_PX, HEIGHT_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=GREY,
    )
    if pose.occluder_x is not None:
        left = round(pose.occluder_x * WIDTH_PX)
        cv2.rectangle(view, (left, 0), (left + WIDTH_PX // 2, HEIGHT_PX), OCCLUDER, thickness=-1)
    return _through_camera(_blurred(view, pose), pose, rng=rng)


def _blurred(view: NDArray[np.generic], pose: Pose) -> NDArray[np.generic]:
    # a shutter open for half the frame time smears half of the movement
    length = min(31, round(pose.speed_px / 2))
    if length < 2:
        return view
    kernel = np.zeros((length, length), dtype=np.float32)
    middle, reach = (length - 1) / 2, (length - 1) / 2
    dx, dy = math.cos(pose.heading_rad) * reach, math.sin(pose.heading_rad) * reach
    start, end = (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(view, -1, kernel / kernel.sum()))


def _through_camera(view: NDArray[np.generic], pose: Pose, *, rng: np.random.Generator) -> Image:
    noise = np.empty(view.shape, dtype=np.int8)
    cv2.setRNGSeed(int(rng.integers(0, 2**31 - 1)))
    cv2.randn(noise, 0, 3.0)
    lit = cv2.convertScaleAbs(view, alpha=pose.exposure)
    return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), dtype=np.uint8)


def render_walk(photos: Sequence[Image], poses: Sequence[Pose], *, seed: int) -> Iterator[Image]:
    """All views of a walk, one by one."""
    rng = np.random.default_rng(seed + 1)
    for pose in poses:
        yield render(photos[pose.photo], pose, rng=rng)
