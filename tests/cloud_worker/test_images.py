import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_worker.errors import CannotAnswerError
from cloud_worker.images import decode_image, jpeg_size
from schemas.messages import Encoding, RefusalReason
from tests.cloud_worker.builders import frame, jpeg

LIMIT = 4096


def bomb(width: int, height: int) -> bytes:
    """A JPEG of a few hundred bytes whose header asks for width x height pixels."""
    small = bytearray(jpeg(16, 16))
    at = small.index(b"\xff\xc0")
    small[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(small)


def png() -> bytes:
    return cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes()


REFUSED = [
    ("bomb", frame(payload=bomb(65535, 65535), width=64, height=48), RefusalReason.TOO_LARGE),
    ("header disagrees", frame(payload=jpeg(32, 32), width=64, height=48), RefusalReason.UNDECODABLE),
    ("cut off in the header", frame(payload=jpeg()[:40]), RefusalReason.UNDECODABLE),
    ("empty", frame(payload=b""), RefusalReason.UNDECODABLE),
    ("a PNG", frame(payload=png()), RefusalReason.UNDECODABLE),
    (
        "too few pixels",
        frame(payload=b"\0" * 10, width=4, height=4, encoding=Encoding.RGB8),
        RefusalReason.UNDECODABLE,
    ),
    ("sound", frame(payload=b"\0" * 10, encoding=Encoding.PCM_S16LE), RefusalReason.UNDECODABLE),
    (
        "too many raw pixels",
        frame(payload=b"\0", width=999, height=999, encoding=Encoding.GRAY8),
        RefusalReason.TOO_LARGE,
    ),
    ("no pixels", frame(payload=b"", width=0, height=0, encoding=Encoding.GRAY8), RefusalReason.TOO_LARGE),
]


@pytest.mark.parametrize(("sent", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_image_of_the_declared_size_is_refused_with_its_reason(sent, reason):
    with pytest.raises(CannotAnswerError) as refused:
        decode_image(sent, max_pixels=LIMIT)
    assert refused.value.reason is reason


def test_a_jpeg_comes_out_in_red_green_blue():
    image = decode_image(frame(), max_pixels=LIMIT)
    assert image.shape == (48, 64, 3)
    assert abs(image[2, 2].astype(int) - (40, 120, 200)).max() <= 4  # written as BGR 200, 120, 40


def test_raw_pixels_are_taken_as_they_are():
    pixels = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8)
    image = decode_image(frame(payload=pixels.tobytes(), encoding=Encoding.RGB8), max_pixels=LIMIT)
    assert (image.reshape(-1) == pixels).all()
    gray = decode_image(frame(payload=bytes(48 * 64), encoding=Encoding.GRAY8), max_pixels=LIMIT)
    assert gray.shape == (48, 64, 3)


def test_progressive_jpegs_say_their_size_too():
    data = cv2.imencode(".jpg", np.zeros((30, 50, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[
        1
    ].tobytes()
    assert jpeg_size(data) == (50, 30)


@given(st.data())
def test_a_damaged_jpeg_decodes_or_is_refused_and_nothing_else(data):
    damaged = bytearray(jpeg())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        image = decode_image(frame(payload=bytes(damaged[:cut])), max_pixels=LIMIT)
    except CannotAnswerError:
        return
    assert image.shape == (48, 64, 3)
