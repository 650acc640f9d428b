"""The same road over three brokers: in-process, Mosquitto with MQTT 5, Mosquitto with 3.1.1."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from roads_under_test import Harness, LoopbackHarness, SessionHarness

from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor() as running:
        yield running
    assert running.errors == 0


@pytest.fixture
def mosquitto(mosquitto_binary: Path, tmp_path: Path) -> Iterator[EmbeddedMosquitto]:
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "broker") as broker:
        yield broker


@pytest.fixture(params=["loopback", "mqtt5", "mqtt311"])
def harness(request: pytest.FixtureRequest, reactor: Reactor, tmp_path: Path) -> Iterator[Harness]:
    if request.param == "loopback":
        made = LoopbackHarness(reactor)
    else:
        broker = request.getfixturevalue("mosquitto")
        made = SessionHarness(reactor, broker, int(request.param.removeprefix("mqtt")), tmp_path)
    yield made
    made.close()
