"""Fixtures of the office's tests."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fleet_scene import Office

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor
from fleet_manager.store import Store
from observability import log


@pytest.fixture(autouse=True, scope="module")
def logs_apart() -> Iterator[None]:
    """Logs of other threads stay out of the stdout that a test of a command reads."""
    log.configure("test", level="warning", stream=sys.__stderr__)
    yield
    structlog.reset_defaults()


@pytest.fixture
def loopback() -> Iterator[LoopbackBroker]:
    with Reactor(name="test") as reactor:
        yield LoopbackBroker(reactor=reactor)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database: copied where a test is not about migrations."""
    path = tmp_path_factory.mktemp("database") / "fleet.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def office(tmp_path: Path, loopback: LoopbackBroker, empty_database: Path) -> Iterator[Office]:
    shutil.copy(empty_database, tmp_path / "fleet.db")
    made = Office(tmp_path, loopback)
    yield made
    made.close()
