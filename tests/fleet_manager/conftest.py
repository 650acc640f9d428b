"""Fixtures of the office's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_scene import Office

from broker.loopback import LoopbackBroker
from broker.reactor import Reactor


@pytest.fixture
def loopback() -> Iterator[LoopbackBroker]:
    with Reactor(name="test") as reactor:
        yield LoopbackBroker(reactor=reactor)


@pytest.fixture
def office(tmp_path: Path, loopback: LoopbackBroker) -> Iterator[Office]:
    made = Office(tmp_path, loopback)
    yield made
    made.close()
