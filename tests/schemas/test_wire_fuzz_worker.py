"""Mutants against a worker process behind a real Mosquitto."""

import json

import pytest
import structlog
import typer
from typer.testing import CliRunner

from bench import fuzz
from bench.fuzz_worker import fuzz_worker
from bench.good import good_messages
from bench.live_worker import null_worker
from broker.mosquitto import EmbeddedMosquitto
from schemas.messages import Ping


@pytest.fixture
def broker_url(mosquitto_binary, tmp_path):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "mosquitto") as broker:
        yield broker.url


@pytest.fixture(autouse=True)
def _fresh_logging():
    yield
    structlog.reset_defaults()


def invoke(*arguments):
    app = typer.Typer()
    app.command()(fuzz.main)
    return CliRunner().invoke(app, [*arguments, "--json"])


def test_a_live_worker_refuses_every_broken_mutant_and_survives(mosquitto_binary):
    assert mosquitto_binary
    done = invoke("--mutants", "2000", "--live")
    assert done.exit_code == 0, done.output
    worker = json.loads(done.stdout)["worker"]
    assert worker["sent"] == 2000
    assert worker["refusals"] == worker["expected_refusals"] > 1000
    assert worker["alive"]


def test_the_worker_accounts_for_every_mutant_it_received(mosquitto_binary):
    assert mosquitto_binary
    ping = next(message for message in good_messages() if isinstance(message, Ping))
    with null_worker(site="lab", worker="w-1") as live:
        report = fuzz_worker(live.url, fuzz.messages(500, seed=2), site="lab", worker="w-1", ping=ping)
    ended = live.ended
    assert ended["received"] == report.sent + 1
    assert ended["refused"]["malformed"] == report.refusals == sum(ended["malformed"].values())
    accounted = ended["repeats"] + ended["pings"] + ended["answered"] + sum(ended["refused"].values())
    assert accounted == ended["received"]


def test_a_worker_that_is_not_there_is_a_finding(broker_url, monkeypatch):
    monkeypatch.setattr("bench.fuzz_worker.PATIENCE_S", 1.0)
    done = invoke("--mutants", "2000", "--worker", broker_url, "--site", "lab")
    assert done.exit_code == 1
    worker = json.loads(done.stdout)["worker"]
    assert worker["unanswered"] == worker["expected_refusals"] > 0
    assert not worker["alive"]


def test_a_broker_that_is_not_there_is_unavailable(free_port, monkeypatch):
    monkeypatch.setattr("bench.fuzz_worker.PATIENCE_S", 0.5)
    done = invoke("--mutants", "100", "--worker", f"mqtt://127.0.0.1:{free_port()}")
    assert done.exit_code == 3
