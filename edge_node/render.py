"""Pure core: draws what a headset answered onto the frame it answered for.

``draw`` takes an event line (see ``flight.frame_line``) and never changes the image it was given.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
N_VALUES = 63  # 21 landmarks of x, y, z

BONES = (
    *((0, 1), (1, 2), (2, 3), (3, 4)),
    *((0, 5), (5, 6), (6, 7), (7, 8)),
    *((5, 9), (9, 10), (10, 11), (11, 12)),
    *((9, 13), (13, 14), (14, 15), (15, 16)),
    *((13, 17), (17, 18), (18, 19), (19, 20), (0, 17)),
)
COLOURS: dict[str, tuple[int, int, int]] = {  # RGB by path
    "local": (80, 220, 100),
    "offload": (80, 170, 255),
    "split": (190, 120, 255),
    "carried": (255, 190, 60),
    "none": (240, 70, 70),
}
WHITE, DARK = (255, 255, 255), (24, 24, 28)
BAR_PX = 40
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(image: Image, line: Mapping[str, object]) -> Image:
    """A copy of the frame (H, W, 3) RGB with landmarks, bones and two lines of text."""
    canvas: Image = np.array(image, dtype=np.uint8)
    path = str(line.get("path", "none"))
    colour = COLOURS.get(path, WHITE)
    hands = line.get("hands")
    for hand in hands if isinstance(hands, Sequence) else ():
        _draw_hand(canvas, np.asarray(hand, dtype=np.float32), colour)
    _draw_bar(canvas, captions(line), colour)
    return canvas


def captions(line: Mapping[str, object]) -> tuple[str, str]:
    """The two lines of text under a frame."""
    first = (
        f"{line.get('headset')}  frame {line.get('frame_id')}  {str(line.get('path')).upper()}"
        f"  mode {line.get('mode')}  {line.get('model')}"
    )
    rtt = line.get("rtt_ms")
    second = (
        f"latency {_number(line.get('latency_ms'))} ms  age {_number(line.get('age_ms'))} ms"
        f"  rtt {'-' if rtt is None else _number(rtt)} ms  {line.get('outcome')}"
    )
    return first, second


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, (int, float)) else "-"


def _draw_hand(canvas: Image, values: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    if values.size != N_VALUES:
        return
    height, width = canvas.shape[:2]
    points = [(round(float(x) * width), round(float(y) * height)) for x, y in values.reshape(21, 3)[:, :2]]
    for a, b in BONES:
        cv2.line(canvas, points[a], points[b], colour, 2, cv2.LINE_AA)
    for point in points:
        cv2.circle(canvas, point, 4, DARK, -1, cv2.LINE_AA)
        cv2.circle(canvas, point, 3, WHITE, -1, cv2.LINE_AA)


def _draw_bar(canvas: Image, texts: Sequence[str], colour: tuple[int, int, int]) -> None:
    height, width = canvas.shape[:2]
    cv2.rectangle(canvas, (0, height - BAR_PX), (width, height), DARK, -1)
    cv2.rectangle(canvas, (0, height - BAR_PX), (6, height), colour, -1)
    for row, text in enumerate(texts):
        where = (14, height - BAR_PX + 16 + 17 * row)
        cv2.putText(canvas, text, where, FONT, 0.42, WHITE, 1, cv2.LINE_AA)
