"""Fixtures that every room's tests share: real servers, real models, real photos, free ports.

What a machine does not have skips a test with the reason; under CI a missing server or model is a failure,
because a suite that quietly skips its servers proves nothing.
"""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import settings

from broker.errors import MosquittoMissing
from broker.mosquitto import find_mosquitto
from headway.photos import PHOTOS, present
from headway.setup import cache_dir
from inference.packages.zoo import ZooError, fetch

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# how long an example takes says what else the machine does, so no example fails for its time
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Let tests find flatc where ``make test`` unpacked it, after one that is installed; and print errors plainly."""
    # structlog's own way shows every variable of every call, which takes seconds where they hold pictures
    structlog.get_config()["processors"][-1].exception_formatter = structlog.dev.plain_traceback
    unpacked = cache_dir(os.environ) / "flatbuffers-compiler" / "bin"
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(unpacked)])


def missing(reason: str) -> NoReturn:
    """Skip here; fail under CI, where everything has to be present."""
    if os.environ.get("CI"):
        pytest.fail(f"missing under CI: {reason}")
    pytest.skip(reason)


def require_server(name: str) -> Path:
    """Path of a server program on PATH or in the sbin folders; skips, or fails under CI, when it is absent."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(f"{name} is not installed")
    return Path(found)


def reference_data_or_skip_module(left_out: str) -> None:
    """Skip the calling test module as a whole, once, where ``../shared/data`` is absent; say what is left out.

    Only for what nothing else can stand in for: figures against another implementation, real models of others.
    """
    __tracebackhide__ = True  # the report names the module that skips
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no ../shared/data beside the repository, left out: {left_out}", allow_module_level=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of reference data beside the repository; modules on it call ``reference_data_or_skip_module``."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the repository: tests on its photos and oracles are left out")
    return SHARED_DATA


@pytest.fixture(scope="session")
def cache() -> Path:
    """The folder where ``make test`` put models, photos and Mosquitto."""
    return cache_dir(os.environ)


@pytest.fixture(scope="session")
def models_dir(cache: Path) -> Path:
    """Folder with the imported MediaPipe hand models; fetches them once where they are missing."""
    folder = cache / "models"
    try:
        fetch("hands", folder)
    except ZooError as error:
        missing(str(error))
    return folder


@pytest.fixture(scope="session")
def photos(cache: Path) -> list[Path]:
    """Real photos with hands that need no ../shared/data: those that the demo shows."""
    there = present(cache)
    if not there:
        missing("no photos in the cache: `make test` gets them")
    return there


@pytest.fixture(scope="session")
def hand_photos(cache: Path) -> dict[str, Path]:
    """The free photos by name, one hand in each; the stand-in that a machine without apt gets shows none."""
    there = {path.name: path for path in present(cache)}
    if not {photo.name for photo in PHOTOS} <= set(there):
        missing("no photos with hands in the cache: `make test` gets them on a machine with apt")
    return there


@pytest.fixture(scope="session")
def mosquitto_binary(cache: Path) -> Path:
    """A Mosquitto that runs: from PATH, the sbin folders, or unpacked into the cache by ``make test``."""
    try:
        return find_mosquitto(cache)
    except MosquittoMissing as error:
        missing(str(error))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives a TCP port of the loopback interface that was free a moment ago."""

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return pick
