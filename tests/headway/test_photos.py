"""Photos with hands: taken out of a package made here, checked by digest, never made up."""

import hashlib

import pytest

from headway import photos
from headway.errors import DebianError, ProvisionError
from inference.packages.zoo import ZooError

HAND = photos.Photo(name="hand.jpg", sha256=hashlib.sha256(b"a hand").hexdigest(), shows="a hand")
FACE = photos.Photo(name="face.png", sha256=hashlib.sha256(b"a face").hexdigest(), shows="a face")


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    """Two photos of a few bytes, and no way to get either."""

    def no_apt(_):
        raise DebianError("no apt-get here")

    def no_index(_):
        raise ZooError("no index can be reached")

    monkeypatch.setattr(photos, "PHOTOS", (HAND,))
    monkeypatch.setattr(photos, "FALLBACK", FACE)
    monkeypatch.setattr(photos, "_from_debian", no_apt)
    monkeypatch.setattr(photos, "_from_wheel", no_index)


def test_photos_come_from_debian_and_stay_without_network(monkeypatch, tmp_path):
    monkeypatch.setattr(photos, "_from_debian", lambda _: {"hand.jpg": b"a hand"})
    assert photos.ensure_photos(tmp_path) == [tmp_path / "photos/hand.jpg"]
    monkeypatch.setattr(photos, "_from_debian", lambda _: pytest.fail("touched the network"))
    assert photos.ensure_photos(tmp_path) == [tmp_path / "photos/hand.jpg"]


def test_a_damaged_photo_is_fetched_again(monkeypatch, tmp_path):
    monkeypatch.setattr(photos, "_from_debian", lambda _: {"hand.jpg": b"a hand"})
    path = photos.ensure_photos(tmp_path)[0]
    path.write_bytes(b"a Hand")
    photos.ensure_photos(tmp_path)
    assert path.read_bytes() == b"a hand"


def test_without_apt_there_is_one_face(monkeypatch, tmp_path):
    monkeypatch.setattr(photos, "_from_wheel", lambda _: {"face.png": b"a face"})
    assert photos.ensure_photos(tmp_path) == [tmp_path / "photos/face.png"]
    monkeypatch.setattr(photos, "_from_wheel", lambda _: pytest.fail("touched the network"))
    assert photos.ensure_photos(tmp_path) == [tmp_path / "photos/face.png"]


def test_without_apt_and_index_the_error_names_the_option(tmp_path):
    with pytest.raises(ProvisionError, match="--source"):
        photos.ensure_photos(tmp_path)


def test_a_photo_with_another_digest_never_gets_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(photos, "_from_debian", lambda _: {"hand.jpg": b"another hand"})
    with pytest.raises(ProvisionError, match="sha256"):
        photos.ensure_photos(tmp_path)
    assert not (tmp_path / "photos/hand.jpg").exists()
