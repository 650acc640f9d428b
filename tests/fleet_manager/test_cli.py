"""The commands against a live manager process over a real Mosquitto, and against none."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fleet_scene import SITE, ScriptedDevice, eventually, make_package
from typer.testing import CliRunner

from broker.mosquitto import EmbeddedMosquitto
from broker.reactor import Reactor
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from fleet_manager import cli
from schemas.states import FailureReason, UpdateState
from schemas.topics import topic


class RealBroker:
    """The face of a loopback broker over a real one, for scripted headsets."""

    def __init__(self, url, reactor) -> None:
        self._url, self.reactor = url, reactor
        self.roads = []

    def road(self, client_id, *, birth):
        device = client_id.rpartition("-")[0]
        config = SessionConfig(
            url=self._url,
            client_id=client_id,
            echo_topic=topic("device-echo", site=SITE, device=device, traffic="control"),
            traffic=Traffic.CONTROL,
        )
        self.roads.append(Session(config, reactor=self.reactor, birth=birth))
        return self.roads[-1]


@pytest.fixture(scope="module")
def mosquitto(mosquitto_binary, tmp_path_factory):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture(scope="module")
def real_broker(mosquitto):
    with Reactor(name="headsets") as reactor:
        broker = RealBroker(mosquitto.url, reactor)
        yield broker
        for road in broker.roads:
            road.close()


def start_manager(broker_url, folder, *more):
    words = ["--broker", broker_url, "--site", SITE, "--artifacts", str(folder), "--listen", "127.0.0.1:0"]
    code = "from fleet_manager.cli import manager; manager()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "run", *words, "--embedded", "--json", *more],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    line = child.stdout.readline()
    assert line, "the manager said nothing"
    return child, json.loads(line)["url"]


@pytest.fixture(scope="module")
def manager_url(mosquitto, tmp_path_factory):
    child, url = start_manager(mosquitto.url, tmp_path_factory.mktemp("manager"))
    yield url
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    child.stdout.close()


APPS = {"device": cli.device, "group": cli.group, "deploy": cli.deploy, "manager": cli.manager}


@pytest.fixture
def headway(manager_url):
    def call(app, *words, exit_code=0):
        result = CliRunner().invoke(APPS[app], list(words), env={"HEADWAY_MANAGER": manager_url})
        assert result.exit_code == exit_code, (result.stdout, result.stderr, result.exception)
        return result

    return call


def answer(result):
    return json.loads(result.stdout)


def test_a_rollout_from_the_command_line_over_a_real_broker(headway, real_broker, manager_url, tmp_path):
    devices = [
        ScriptedDevice(real_broker, "hs-1", boot="a" * 32),
        ScriptedDevice(real_broker, "hs-2", boot="b" * 32),
    ]
    wait_for(headway, "hs-1")
    wait_for(headway, "hs-2")
    assert "hs-2" in headway("device", "ls").stdout
    assert answer(headway("device", "show", "hs-1", "--json"))["admission"] == "admitted"
    assert "registered-admitted" in headway("device", "show", "hs-1").stdout
    headway("group", "create", "line-a")
    assert "hs-1, hs-2" in headway("group", "add", "line-a", "hs-1", "hs-2").stdout
    for version, model in (("1", b"good" * 50_000), ("2", b"zero" * 50_000)):
        manifest, files = make_package(version=version, model=model)
        parts = {"manifest": manifest, **files}
        assert httpx.post(f"{manager_url}/v1/models", files=parts).status_code == 201
    split = tmp_path / "split.yaml"
    split.write_text("policy: rtt-threshold\nrtt_threshold_ms: 15\n")
    words = ["--group", "line-a", "--model", "hands:1", "--split-config", str(split), "--deadline-ms", "100"]
    shown = answer(headway("deploy", "apply", *words, "--watch", "--json"))
    assert (shown["outcome"], shown["succeeded"]) == ("succeeded", 2)
    assert shown["spec"]["split_config"]["policy"] == "rtt-threshold"
    devices[0].ends, devices[0].reason = UpdateState.FAILED, FailureReason.GOLDEN_MISMATCH
    spec = tmp_path / "deployment.yaml"
    spec.write_text("target: {device: hs-1}\nmodel: 'hands:2'\n")
    begun = answer(headway("deploy", "apply", str(spec), "--json"))
    watched = headway("deploy", "watch", begun["id"], exit_code=1)
    assert f"{begun['id']} failed (golden_mismatch): 1 of 1 devices did not succeed" in watched.stdout
    assert "golden_mismatch" in headway("deploy", "show", begun["id"]).stdout
    listed = headway("deploy", "ls").stdout
    assert "group line-a" in listed
    assert "hands:2" in listed
    assert "no members" in headway("group", "remove", "line-a", "hs-1", "hs-2").stdout
    assert "line-a" in headway("group", "ls").stdout
    assert answer(headway("group", "show", "line-a", "--json"))["members"] == []
    assert "admitted" in headway("device", "approve", "hs-1").stdout
    assert "line-a is deleted" in headway("group", "delete", "line-a").stdout
    assert "headway group create" in headway("group", "delete", "line-a", exit_code=3).stderr
    runs = next(line for line in headway("device", "show", "hs-2").stdout.splitlines() if "runs" in line)
    assert runs.count("hands") == 1
    split = headway("deploy", "apply", "--device", "hs-2", "--policy", "local").stdout
    assert split.startswith("dep-")
    assert split.endswith(" running\n")


def wait_for(headway, device):
    eventually(lambda: device in [d["id"] for d in answer(headway("device", "ls", "--json"))], within_s=15)


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (("device", "show", "hs-9"), 3, "headway device ls"),
        (("device", "explain", "hs-9"), 3, "headway device ls"),
        (("device", "explain", "hs-9", "--last", "0"), 2, "last"),
        (("deploy", "show", "dep-99"), 3, "headway deploy ls"),
        (("group", "add", "no-such-group", "hs-1"), 3, "headway group create"),
        (("group", "create", "Bad Name"), 1, "name"),
        (("deploy", "apply", "--group", "x"), 2, "headway deploy apply --help"),
        (("deploy", "apply", "--model", "hands"), 2, "target"),
        (("deploy", "apply", "--group", "x", "--policy", "magic"), 2, "policy"),
        (("deploy", "apply", "/no/such/file.yaml"), 2, "cannot be read"),
        (("deploy", "apply", "--group", "x", "--model", "hands", "--nonsense"), 2, "nonsense"),
        (("device", "ls", "--manager", "http://127.0.0.1:1"), 3, "headway manager run"),
        (("device", "ls", "--manager", "nonsense"), 3, "--manager"),
    ],
)
def test_a_refused_command_names_the_fix_on_stderr(headway, words, exit_code, says):
    result = headway(*words, exit_code=exit_code)
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("app", APPS)
def test_every_command_has_help_with_an_example(app):
    group = CliRunner().invoke(APPS[app], ["--help"])
    assert "Example: headway" in group.stdout
    for command in APPS[app].registered_commands:
        name = command.name or command.callback.__name__
        shown = CliRunner().invoke(APPS[app], [name, "--help"])
        assert shown.exit_code == 0
        assert f"Example: headway {app}" in shown.stdout


def test_two_managers_cannot_share_a_port_and_the_error_names_the_fix(mosquitto, manager_url, tmp_path):
    listen = manager_url.removeprefix("http://")
    words = ["run", "--broker", mosquitto.url, "--artifacts", str(tmp_path), "--listen", listen]
    result = CliRunner().invoke(cli.manager, words)
    assert result.exit_code == 1
    assert "--listen 127.0.0.1:0" in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--broker", "mqtt://10.9.8.7:1883", "--embedded"], "headway device approve"),
        (["--broker", "mqtt://127.0.0.1", "--listen", "0.0.0.0:0"], "--allow-remote"),
        (["--broker", "mqtt://127.0.0.1", "--listen", "nonsense"], "HOST:PORT"),
        (["--broker", "http://127.0.0.1"], "mqtt://host:port"),
    ],
)
def test_options_that_contradict_safety_are_refused_with_exit_2(words, says, tmp_path):
    result = CliRunner().invoke(cli.manager, ["run", "--artifacts", str(tmp_path), *words])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def connectivity(url, device):
    return {d["id"]: d["connectivity"] for d in httpx.get(f"{url}/v1/devices").json()}.get(device)


def test_a_manager_that_is_killed_comes_back_with_its_fleet(mosquitto, real_broker, tmp_path):
    ScriptedDevice(real_broker, "hs-7", boot="7" * 32)
    for ending in (signal.SIGKILL, signal.SIGTERM):
        child, url = start_manager(mosquitto.url, tmp_path, "--id", "other")
        try:
            eventually(lambda url=url: connectivity(url, "hs-7") == "online", within_s=15)
        finally:
            child.send_signal(ending)
            code = child.wait(10)
            child.stdout.close()
    assert code == 0


def test_the_commands_load_no_database_and_no_server():
    code = (
        "import sys, fleet_manager.cli; "
        "print([name for name in ('sqlalchemy', 'fastapi', 'uvicorn', 'paho') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_office_never_imports_inference():
    for path in Path(cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in {"inference", "ai_edge_litert"} for name in names), path
