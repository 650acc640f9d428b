"""Shell that gets what is not a Python package: Mosquitto, the MediaPipe models, photos with hands.

Each thing is looked for before it is fetched, so a second run touches no network. Mosquitto comes from PATH,
else unpacked out of Debian's packages, else through Homebrew; it is never installed as a system service.
Refuses nothing silently: what cannot be had raises with the fix.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from broker.errors import MosquittoMissing
from broker.mosquitto import find_mosquitto
from headway import debian
from headway.errors import DebianError, HeadwayError, ProvisionError
from headway.photos import ensure_photos
from inference.packages.zoo import ZooError, fetch
from schemas.generate import GenerateError, find_flatc
from schemas.places import cache_dir

FLATC_PACKAGE = "flatbuffers-compiler"
_INSTALL_MOSQUITTO = "install Mosquitto with your system's package manager so that `mosquitto` is on PATH"


def ensure_mosquitto(cache: Path) -> Path:
    """A Mosquitto that starts, fetched where there is none.

    Raises:
        ProvisionError: there is no way to get one here; names what to install.
    """
    # Absent here is what the next lines are for, not a failure yet.
    with contextlib.suppress(MosquittoMissing):
        return find_mosquitto(cache)
    if debian.is_available():
        try:
            return debian.unpack_program("mosquitto", "usr/sbin/mosquitto", cache=cache)
        except DebianError as error:
            raise ProvisionError(f"no Mosquitto: {error}; or {_INSTALL_MOSQUITTO}") from error
    if shutil.which("brew") is None:
        raise ProvisionError(
            f"no Mosquitto here, and neither apt-get nor brew to get it with: {_INSTALL_MOSQUITTO}"
        )
    done = subprocess.run(
        ["brew", "install", "--quiet", "mosquitto"], capture_output=True, text=True, check=False
    )
    try:
        return find_mosquitto(cache)
    except MosquittoMissing as error:
        said = done.stderr.strip()[-200:]
        raise ProvisionError(f"brew could not install mosquitto ({said}): {_INSTALL_MOSQUITTO}") from error


def ensure_flatc(cache: Path) -> Path:
    """The schema compiler in our version, which only tests and ``make schemas`` need: from PATH, else Debian's, unpacked.

    Raises:
        ProvisionError: there is none of this version and no apt to get it with.
    """
    places = {**os.environ, "HEADWAY_CACHE": str(cache)}
    # Absent or of another version here is what the next lines are for, not a failure yet.
    with contextlib.suppress(GenerateError):
        return find_flatc(places)
    try:
        debian.unpack_program(FLATC_PACKAGE, "usr/bin/flatc", cache=cache)
        return find_flatc(places)  # another release of Debian has another version
    except (DebianError, GenerateError) as error:
        raise ProvisionError(f"no flatc: {error}") from error


def ensure_models(cache: Path) -> dict[str, Path]:
    """The MediaPipe hand models in ``<cache>/models``.

    Raises:
        ProvisionError: they are not there and cannot be downloaded.
    """
    try:
        return fetch("hands", cache / "models")
    except ZooError as error:
        raise ProvisionError(str(error)) from error


def _mosquitto(cache: Path) -> str:
    return f"mosquitto at {ensure_mosquitto(cache)}"


def _flatc(cache: Path) -> str:
    return f"flatc at {ensure_flatc(cache)}"


def _models(cache: Path) -> str:
    return f"{len(ensure_models(cache))} hand models in {cache / 'models'}"


def _photos(cache: Path) -> str:
    return f"{len(ensure_photos(cache))} photos in {cache / 'photos'}"


THINGS: dict[str, Callable[[Path], str]] = {
    "mosquitto": _mosquitto,
    "models": _models,
    "photos": _photos,
    "flatc": _flatc,
}
# What the main job needs; the rest is fetched by name.
NEEDED = ("mosquitto", "models", "photos")


def main(names: Sequence[str]) -> int:
    """Get the named things, or the needed ones; returns the exit code: 0 all there, 2 usage, 3 one cannot be had."""
    unknown = [name for name in names if name not in THINGS]
    if unknown:
        typer.echo(
            f"provision: no such thing as {', '.join(unknown)}: choose of {', '.join(THINGS)}", err=True
        )
        return 2
    cache = cache_dir(os.environ)
    for name in names or NEEDED:
        started_s = time.monotonic()
        try:
            outcome = THINGS[name](cache)
        except (HeadwayError, OSError) as error:
            typer.echo(f"provision failed: {name}: {error}", err=True)
            return 3
        typer.echo(f"provision [{time.monotonic() - started_s:4.1f} s] {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
