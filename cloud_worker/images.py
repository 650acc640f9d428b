"""Core: a frame's payload to pixels, with the size checked before anything is decoded.

A JPEG's header says how many pixels it will become; a few hundred bytes can ask for gigabytes. So the header
is read here first and must agree with what the message says. Refuses everything that is not the declared
encoding (OpenCV would open PNG and TIFF just as gladly). EXIF rotation is ignored: coordinates in a reply
are those of the pixels as the headset encoded them. Touches no file; only OpenCV decodes.
"""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from cloud_worker.errors import CannotAnswerError
from schemas.messages import Encoding, Frame, Payload, RefusalReason

_START = b"\xff\xd8"
# start-of-frame markers: C0 to CF without C4 (tables), C8 (reserved) and CC (arithmetic tables)
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_SCAN_OR_END = frozenset({0xD9, 0xDA})
_MAX_SEGMENTS = 1024

_CHANNELS = {Encoding.RGB8: 3, Encoding.GRAY8: 1}


def jpeg_size(payload: Payload) -> tuple[int, int] | None:
    """Width and height in pixels as the header says; None where there is no readable JPEG header."""
    data = memoryview(payload)
    if bytes(data[:2]) != _START:
        return None
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _SCAN_OR_END:
            return None
        elif marker in _FRAME_MARKERS:
            if at + 9 > len(data):
                return None
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width), int(height)
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def decode_image(frame: Frame, *, max_pixels: int) -> NDArray[np.uint8]:
    """Pixels (height, width, 3) uint8 RGB of a frame.

    Raises:
        CannotAnswerError: TOO_LARGE or UNDECODABLE; says what was found.
    """
    if frame.encoding is Encoding.JPEG:
        return _decode_jpeg(frame, max_pixels=max_pixels)
    channels = _CHANNELS.get(frame.encoding)
    if channels is None:
        raise _undecodable(f"{frame.encoding.name} is not an image encoding: send JPEG, RGB8 or GRAY8")
    _check_pixels(frame.width_px, frame.height_px, max_pixels=max_pixels)
    expected = frame.width_px * frame.height_px * channels
    if len(frame.payload) != expected:
        raise _undecodable(
            f"{frame.encoding.name} payload has {len(frame.payload)} bytes, expected {expected}"
        )
    pixels = np.frombuffer(frame.payload, dtype=np.uint8)
    if channels == 3:
        return pixels.reshape(frame.height_px, frame.width_px, 3)
    gray = pixels.reshape(frame.height_px, frame.width_px, 1)
    return np.repeat(gray, 3, axis=2)


def _decode_jpeg(frame: Frame, *, max_pixels: int) -> NDArray[np.uint8]:
    size = jpeg_size(frame.payload)
    if size is None:
        raise _undecodable("the payload has no JPEG header: send a baseline or progressive JPEG")
    _check_pixels(*size, max_pixels=max_pixels)
    if size != (frame.width_px, frame.height_px):
        raise _undecodable(
            f"the JPEG is {size[0]}x{size[1]}, the message says {frame.width_px}x{frame.height_px}"
        )
    data = np.frombuffer(frame.payload, dtype=np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _undecodable(f"the JPEG does not decode ({error}): encode it again") from error
    if image is None or image.shape != (frame.height_px, frame.width_px, 3):
        raise _undecodable("the JPEG does not decode: encode it again")
    return np.asarray(image, dtype=np.uint8)


def _check_pixels(width: int, height: int, *, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise CannotAnswerError(
            RefusalReason.TOO_LARGE,
            f"{width}x{height} pixels, allowed are 1 to {max_pixels}: send a smaller frame",
        )


def _undecodable(detail: str) -> CannotAnswerError:
    return CannotAnswerError(RefusalReason.UNDECODABLE, detail)
