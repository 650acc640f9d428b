"""``headway up`` as a person uses it: a terminal's Ctrl-C, a port that is taken, a part that dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import httpx
import pytest

from broker.reactor import Reactor
from broker.road import Traffic
from broker.session import Session
from broker.session_config import SessionConfig
from schemas.documents import WorkerPresence
from schemas.topics import topic
from tests.headway.door import naming, python, until

READY_S = 40
END_S = 5.0

pytestmark = pytest.mark.usefixtures("mosquitto_binary", "models_dir")


class Site:
    """A running ``headway up`` in a process group of its own, as a terminal starts it."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.errors = folder / "up.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*python(), "-m", "headway", "up", "--json", "--state", str(folder / "state"), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def addresses(self):
        """The JSON line that says that it is up."""
        line = self.process.stdout.readline()
        assert line, f"headway up ended with {self.process.wait()}: {self.said()}"
        return json.loads(line)

    def has(self, room):
        """The process of a room, if it runs; not its leash."""
        lines = {process: " ".join(process.info["cmdline"]) for process in naming(self.folder / "state")}
        return next(
            (process for process, line in lines.items() if f"{room} run" in line and "leash" not in line),
            None,
        )

    def said(self):
        return self.errors.read_text()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def up(folder, *arguments):
    site = Site(folder, *arguments)
    try:
        yield site
    finally:
        site.end()


def presence_of(worker, *, broker_url, site):
    """The worker's retained presence as anybody on the broker reads it."""
    heard = []
    config = SessionConfig(
        url=broker_url,
        client_id="onlooker",
        echo_topic=topic("manager-echo", site=site, manager="onlooker", traffic="control"),
        traffic=Traffic.CONTROL,
    )
    with Reactor(name="onlooker") as reactor:
        session = Session(config, reactor=reactor)
        session.subscribe(topic("worker-presence", site=site, worker=worker), heard.append)
        until(lambda: heard, timeout_s=10, what="the worker's presence")
        session.close()
    return WorkerPresence.model_validate_json(bytes(heard[-1].payload))


def test_a_site_comes_up_works_and_ends_with_ctrl_c(tmp_path):
    with up(tmp_path, "--listen", "127.0.0.1:0", "--site", "plant-1") as site:
        told = site.addresses()
        assert told["site"] == "plant-1"
        assert httpx.get(f"{told['manager']}/v1/healthz", timeout=10).json()["status"] == "ok"
        assert presence_of(told["worker"], broker_url=told["broker"], site="plant-1").online
        assert httpx.get(f"{told['manager']}/v1/devices", timeout=10).json() == []

        os.killpg(site.process.pid, signal.SIGINT)
        asked_s = time.monotonic()
        assert site.process.wait(20) == 0
        assert time.monotonic() - asked_s < END_S
        until(lambda: not naming(tmp_path), timeout_s=2, what="the end of every process")
        assert "Traceback" not in site.said()
        assert "mosquitto ended" not in site.said(), "Ctrl-C is for the door, which ends the broker last"


def test_a_relative_state_folder_is_one_below_the_callers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = subprocess.run(
            [*python(), "-m", "headway", "up", "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_S,
        )
    assert (tmp_path / ".headway" / "broker" / "mosquitto.conf").is_file()
    assert shown.returncode == 1
    assert "Address already in use" in shown.stderr
    assert shown.stdout == "", "logs and errors leave stdout to the answer"
    assert "Traceback" not in shown.stderr


def test_a_manager_port_that_is_taken_is_a_clear_error_and_nothing_stays(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(tmp_path, "--listen", f"127.0.0.1:{port}") as site:
            assert site.process.wait(READY_S) == 1
            said = site.said()
    assert f"127.0.0.1:{port}" in said
    assert "--listen" in said, "names the fix"
    assert "Traceback" not in said
    assert not naming(tmp_path)


def test_a_worker_that_dies_ends_the_site_and_is_named(tmp_path):
    with up(tmp_path, "--listen", "127.0.0.1:0") as site:
        site.addresses()
        site.has("worker").kill()
        assert site.process.wait(20) == 1
        assert "w-1 died with status 137" in site.said()
    assert not naming(tmp_path)


def test_a_killed_site_leaves_nothing_behind(tmp_path):
    with up(tmp_path, "--listen", "127.0.0.1:0") as site:
        until(lambda: site.has("manager"), timeout_s=READY_S, what="the manager's start")
        assert len(naming(tmp_path)) >= 5, "up itself, broker and manager, each behind its leash"
        site.process.kill()
        site.process.wait()
        until(lambda: not naming(tmp_path), timeout_s=5, what="the end of every process")
