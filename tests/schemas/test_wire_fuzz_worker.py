"""Mutants against a worker process behind a real Mosquitto."""

import json
import subprocess
import sys

import pytest
import structlog
import typer
from typer.testing import CliRunner

from bench import fuzz
from broker.mosquitto import EmbeddedMosquitto


@pytest.fixture
def broker_url(mosquitto_binary, tmp_path):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "mosquitto") as broker:
        yield broker.url


@pytest.fixture
def null_worker(broker_url, tmp_path):
    command = [sys.executable, "-c", "from cloud_worker.cli import worker; worker()", "run", "--json"]
    command += [
        "--id",
        "w-1",
        "--site",
        "lab",
        "--broker",
        broker_url,
        "--state",
        str(tmp_path),
        "--runtime",
        "null",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["event"] == "ready"
        yield process
        process.terminate()


@pytest.fixture(autouse=True)
def _fresh_logging():
    yield
    structlog.reset_defaults()


def invoke(*arguments):
    app = typer.Typer()
    app.command()(fuzz.main)
    return CliRunner().invoke(app, [*arguments, "--json"])


def test_a_live_worker_refuses_every_broken_mutant_and_survives(null_worker, broker_url):
    done = invoke("--mutants", "2000", "--worker", broker_url, "--site", "lab")
    assert done.exit_code == 0, done.output
    worker = json.loads(done.stdout)["worker"]
    assert worker["sent"] == 2000
    assert worker["refusals"] == worker["expected_refusals"] > 1000
    assert worker["alive"]
    assert null_worker.poll() is None


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
