"""Mutants against a worker process behind a real Mosquitto."""

import json

import pytest
import structlog
import typer
from typer.testing import CliRunner

from bench import fuzz
from bench.fuzz_worker import WorkerReport, fuzz_worker
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
    assert worker["unaccounted"] == []


def test_the_worker_accounts_for_every_mutant_it_received(mosquitto_binary):
    assert mosquitto_binary
    ping = next(message for message in good_messages() if isinstance(message, Ping))
    with null_worker(site="lab", worker="w-1") as live:
        report = fuzz_worker(live.url, fuzz.messages(500, seed=2), site="lab", worker="w-1", ping=ping)
    report.compare(live.ended)
    assert report.unaccounted == []
    assert report.other_replies > 0
    assert report.passed


def test_an_accepted_mutant_that_the_worker_swallows_is_a_finding():
    report = WorkerReport(sent=9, refusals=5, expected_refusals=5, other_replies=3, pongs=1, alive=True)
    ended = {"received": 10, "refused": {"malformed": 5, "busy": 1}, "malformed": {"bad-value": 5}}
    report.compare({**ended, "repeats": 1, "pings": 1, "answered": 2})
    assert report.passed
    report.compare({**ended, "repeats": 0, "pings": 1, "answered": 2})
    assert not report.passed
    assert report.unaccounted == ["ends of what it received: the worker counted 9, 10 are due"]
    report.compare({**ended, "repeats": 0, "pings": 1, "answered": 3})
    assert "replies to what was accepted" in report.unaccounted[0]


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
