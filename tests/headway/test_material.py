"""What the demo plays with: every kind of source, and every one that cannot be used, with the fix named."""

import cv2
import numpy as np
import pytest

from edge_node.ring import open_ring
from headway import material
from headway.errors import DemoError, ProvisionError
from headway.material import prepare
from headway.story_report import agreement_entry

SECONDS_OF_TEST_WALK = 0.5
HEADSETS = 3


@pytest.fixture
def landscapes(tmp_path):
    """A folder of pictures without hands: a sky over a field, with the camera's noise."""
    folder = tmp_path / "landscapes"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number in range(2):
        image = np.zeros((360, 640, 3), np.float64)
        image[:180], image[180:] = (210, 170, 120), (60, 140 + 20 * number, 90)
        cv2.imwrite(
            str(folder / f"{number}.png"),
            np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8),
        )
    return folder


@pytest.fixture
def short_walk(monkeypatch):
    """The walk itself is tested at the headset; here half a second of it is enough."""
    make_walk = material.make_walk
    monkeypatch.setattr(
        material,
        "make_walk",
        lambda *given, **named: make_walk(*given, **named, seconds=SECONDS_OF_TEST_WALK),
    )


@pytest.fixture
def no_packages(monkeypatch):
    """Sources alone: the packages would be the same again."""
    monkeypatch.setattr(material, "make_float_package", lambda _making: None)
    monkeypatch.setattr(material, "make_int8_package", lambda _making, tell: None)


@pytest.fixture
def made(cache, models_dir, photos, tmp_path, short_walk):
    """Prepares in a folder of its own; ``.told`` has what was said on the way."""

    def make(source):
        return prepare(
            tmp_path / "work", cache=cache, source=source, headsets=HEADSETS, tell=make.told.append
        )

    make.told = []
    return make


def video_of(path, *, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (320, 240))
    for number in range(frames):
        writer.write(np.full((240, 320, 3), 40 + number, np.uint8))
    writer.release()
    return path


def test_without_a_source_every_headset_walks_over_the_photos(made, no_packages):
    found = made(None)
    assert found.sources == (f"walk:{found.ring}",) * HEADSETS
    assert open_ring(found.ring).frames >= 30 * SECONDS_OF_TEST_WALK
    assert "rendering the walk over the photos" in made.told


def test_a_video_becomes_frames_of_the_headsets_camera(made, no_packages, tmp_path):
    found = made(str(video_of(tmp_path / "hands.mp4", frames=9)))
    ring = open_ring(found.ring)
    assert (ring.frames, ring.width, ring.height) == (9, 640, 360)
    assert found.sources == (f"walk:{found.ring}",) * HEADSETS


@pytest.mark.parametrize(
    ("source", "camera"),
    [("0", "webcam:0"), ("webcam:1", "webcam:1"), ("rtsp://10.0.0.9/cam", "rtsp://10.0.0.9/cam")],
)
def test_a_camera_serves_the_first_headset_and_the_others_walk(made, no_packages, source, camera):
    found = made(source)
    assert found.sources == (camera, *[f"walk:{found.ring}"] * (HEADSETS - 1))


def test_no_word_about_an_address_holds_its_login(made, no_packages):
    made("rtsp://me:p@ss@10.0.0.9/cam")
    assert "reading rtsp://10.0.0.9/cam" in made.told
    with pytest.raises(DemoError, match=r"no source 'http://10\.0\.0\.9/a@b'"):
        made("http://me:p@ss@10.0.0.9/a@b")


def test_a_source_that_is_nothing_is_refused_with_what_it_may_be(made):
    with pytest.raises(
        DemoError, match="pass a webcam's number, a video file, a folder of photos or an rtsp"
    ):
        made("no-such-thing.mp4")


def test_a_file_that_is_no_video_is_refused(made, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(DemoError, match=r"notes\.mp4 is no video that can be read: pass"):
        made(str(tmp_path / "notes.mp4"))


def test_a_folder_without_photos_is_refused(made, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DemoError, match=r"no photo in .*empty can be read: put"):
        made(str(tmp_path / "empty"))


def test_photos_that_cannot_be_had_name_the_way_around(made, monkeypatch):
    def none_here(_cache):
        raise ProvisionError("no photos and no network")

    monkeypatch.setattr(material, "ensure_photos", none_here)
    with pytest.raises(DemoError, match="no photos and no network; or pass --source with a folder"):
        made(None)


def test_a_source_without_hands_is_played_with_the_lite_model_and_the_gates_reason(made, landscapes):
    found = made(str(landscapes))
    assert found.small is found.lite
    assert found.lite.digest != found.full.digest
    assert "0 distinct photos show" in found.refused[0]
    assert any("int8 refused" in text for text in made.told)
    assert agreement_entry(found) == {"refused": list(found.refused), "distinct_photos": {}}
    assert found.small.manifest.agreement == {}
