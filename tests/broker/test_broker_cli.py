"""The command `headway broker`."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from roads_under_test import wait_for
from typer.testing import CliRunner

from broker.address import parse_url
from broker.cli import broker
from broker.errors import BrokerUnavailable
from broker.external import probe
from broker.mosquitto import EmbeddedMosquitto

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments):
    return CliRunner().invoke(broker, [str(each) for each in arguments])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_run_prints_its_url_and_ends_cleanly(mosquitto_binary, number, status):
    process = subprocess.Popen(
        [sys.executable, "-m", "headway", "broker", "run", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    facts = json.loads(process.stdout.readline())
    assert facts["secured"] is False
    assert probe(parse_url(facts["url"])).protocols == (5, 311)
    process.send_signal(number)
    _out, errors = process.communicate(timeout=10)
    assert process.returncode == status, errors
    with pytest.raises(BrokerUnavailable):
        probe(parse_url(facts["url"]))


def test_run_says_that_it_is_not_secured(mosquitto_binary, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "headway", "broker", "run", "--directory", tmp_path / "b", "--persist"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.terminate()
    process.communicate(timeout=10)
    assert "not secured" in lines[1]
    assert (tmp_path / "b" / "mosquitto.conf").exists()


def test_run_on_a_taken_port_exits_3_and_says_so(mosquitto):
    done = call("run", "--port", mosquitto.port)
    assert done.exit_code == 3
    assert "Address already in use" in done.stderr


def test_persist_without_a_folder_is_a_usage_error():
    done = call("run", "--persist")
    assert done.exit_code == 2
    assert "--directory" in done.stderr


def test_check_answers_and_fails_by_code(mosquitto, free_port):
    done = call("check", mosquitto.url, "--json")
    assert json.loads(done.stdout) == {"url": mosquitto.url, "protocols": [5, 311]}
    assert "MQTT 5 and 3.1.1" in call("check", mosquitto.url).stdout
    assert call("check", f"mqtt://127.0.0.1:{free_port()}").exit_code == 3
    assert call("check", "http://x").exit_code == 2


def test_config_prints_a_data_broker_that_keeps_nothing_and_a_control_broker_that_does():
    data = call("config", "--purpose", "data").stdout
    assert "persistence false" in data
    assert "max_queued_messages 20\n" in data
    assert "allow_anonymous false" in data
    control = call("config", "--purpose", "control").stdout
    assert "persistence true" in control
    assert "persistence_location /etc/mosquitto/headway/store/" in control


def test_config_writes_files_that_a_real_mosquitto_accepts(mosquitto_binary, tmp_path, free_port):
    out, port = tmp_path / "conf", free_port()
    done = call(
        "config", "--purpose", "control", "--site", "plant-1", "--out", out, "--port", port,
        "--bind", "127.0.0.1", "--user", "device:hs-1", "--user", "manager:hq", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["users"] == ["device.hs-1", "manager.hq"]
    for path in out.iterdir():
        assert path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = json.loads((out / "secrets.json").read_text())
    assert all(secret not in (out / "passwords").read_text() for secret in secrets.values())
    assert "topic write hw/1/plant-1/d/hs-1/event" in (out / "acl").read_text()
    conf = (out / "mosquitto.conf").read_text() + "user root\n"
    (out / "mosquitto.conf").write_text(conf)
    process = subprocess.Popen([mosquitto_binary, "-c", out / "mosquitto.conf"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port, "device.hs-1", secrets["device.hs-1"]))
    finally:
        process.terminate()
        process.wait()


def _configure(out, *users, rotate=False):
    options = [part for each in users for part in ("--user", each)]
    done = call(
        "config", "--purpose", "data", "--site", "plant-1", "--out", out, *options, *["--rotate"] * rotate
    )
    assert done.exit_code == 0, done.stderr
    lines = (out / "passwords").read_text().splitlines()
    return done.stdout, {line.partition(":")[0]: line for line in lines}


def test_config_run_again_adds_a_client_and_changes_nobody_elses_password(tmp_path):
    _said, first = _configure(tmp_path, "device:hs-1", "worker:w-1")
    (tmp_path / "secrets.json").unlink()  # handed out
    _said, second = _configure(tmp_path, "device:hs-1", "worker:w-1", "device:hs-2")
    assert {name: second[name] for name in first} == first
    assert list(json.loads((tmp_path / "secrets.json").read_text())) == ["device.hs-2"]
    said, third = _configure(tmp_path, "device:hs-1", "device:hs-2")
    assert third == {name: second[name] for name in ("device.hs-1", "device.hs-2")}
    assert "--rotate" in said


def test_config_run_again_keeps_passwords_that_nobody_fetched_yet(tmp_path):
    _configure(tmp_path, "device:hs-1")
    before = json.loads((tmp_path / "secrets.json").read_text())
    _configure(tmp_path, "device:hs-1", "device:hs-2")
    after = json.loads((tmp_path / "secrets.json").read_text())
    assert after == {**before, "device.hs-2": after["device.hs-2"]}


def test_config_with_rotate_makes_new_passwords_for_all(tmp_path):
    _said, first = _configure(tmp_path, "device:hs-1", "worker:w-1")
    _said, second = _configure(tmp_path, "device:hs-1", "worker:w-1", rotate=True)
    assert all(second[name] != first[name] for name in first)
    assert set(json.loads((tmp_path / "secrets.json").read_text())) == set(first)


def test_config_names_a_secrets_file_that_it_cannot_read(tmp_path):
    (tmp_path / "secrets.json").write_text("[")
    done = call("config", "--purpose", "data", "--site", "s", "--out", tmp_path, "--user", "device:hs-1")
    assert done.exit_code == 2
    assert "delete it" in done.stderr


def _answers(port, username, password):
    try:
        probe(parse_url(f"mqtt://127.0.0.1:{port}"), username=username, password=password)
    except BrokerUnavailable:
        return False
    return True


@pytest.mark.parametrize(
    ("users", "reason"),
    [
        (["nobody:x"], "ROLE:ID"),
        (["device"], "ROLE:ID"),
        (["device:Bad Id"], "not allowed"),
        (["device:a", "device:a"], "named twice"),
        ([], "--user"),
    ],
)
def test_config_refuses_users_it_cannot_name(tmp_path, users, reason):
    options = [part for each in users for part in ("--user", each)]
    done = call("config", "--purpose", "data", "--site", "s", "--out", tmp_path / "x", *options)
    assert done.exit_code == 2
    assert reason in done.stderr


def test_config_needs_a_site_for_those_who_belong_to_one(tmp_path):
    done = call("config", "--purpose", "data", "--out", tmp_path / "x", "--user", "device:hs-1")
    assert done.exit_code == 2
    assert "belongs to one site" in done.stderr


def test_every_command_helps_with_an_example():
    assert "Example" in call("--help").stdout
    for name in ("run", "check", "config"):
        assert f"Example: headway broker {name}" in call(name, "--help").stdout


def test_stopping_twice_is_harmless(mosquitto_binary, tmp_path):
    embedded = EmbeddedMosquitto(mosquitto_binary, tmp_path / "b")
    embedded.stop()
    embedded.start()
    embedded.stop()
    embedded.stop()
