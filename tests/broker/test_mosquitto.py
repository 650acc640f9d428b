"""The embedded broker as a child: found, started, restarted, and gone with its parent."""

import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from roads_under_test import SessionHarness, ready, wait_for

from broker.errors import MosquittoFailed, MosquittoMissing
from broker.mosquitto import EmbeddedMosquitto, find_mosquitto, mosquitto_version
from broker.passwords import password_entry
from broker.road import Traffic

ROOT = Path(__file__).resolve().parents[2]
PIDFD_GETFD = 438  # the same on every Linux architecture

CHILD = """
import sys, time
from pathlib import Path
from broker.mosquitto import EmbeddedMosquitto
broker = EmbeddedMosquitto(Path(sys.argv[1]), Path(sys.argv[2]))
broker.start()
print(broker.pid, broker.port, flush=True)
time.sleep(60)
"""


def test_it_is_gone_within_2_s_when_its_parent_is_killed(mosquitto_binary, tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD, mosquitto_binary, tmp_path / "b"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, port = map(int, parent.stdout.readline().split())
    child = psutil.Process(pid)
    assert child.is_running()
    killed = time.monotonic()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within_s=2)
    assert time.monotonic() - killed < 2
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_it_is_gone_when_the_leash_itself_is_killed_and_comes_back(mosquitto):
    child = psutil.Process(mosquitto.pid)
    mosquitto._leash.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within_s=2)
    wait_for(lambda: mosquitto.restarts == 1 and _accepts(mosquitto.port))


def test_it_ends_with_its_context_and_leaves_nothing_running(mosquitto_binary, tmp_path):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b") as broker:
        child = psutil.Process(broker.pid)
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert broker.version[0].isdigit()
        assert _accepts(broker.port)
    assert not child.is_running()


def test_it_listens_on_loopback_only(mosquitto):
    listening = [
        each.laddr.ip for each in psutil.Process(mosquitto.pid).net_connections() if each.status == "LISTEN"
    ]
    assert listening == ["127.0.0.1"]


def test_a_taken_port_is_an_error_that_names_it_or_another_port(
    mosquitto, mosquitto_binary, tmp_path, monkeypatch
):
    with pytest.raises(MosquittoFailed, match="Address already in use"):
        EmbeddedMosquitto(mosquitto_binary, tmp_path / "second", port=mosquitto.port).start()
    ports = iter([mosquitto.port, mosquitto.port])
    real = EmbeddedMosquitto.__init__.__globals__["_free_port"]
    monkeypatch.setattr("broker.mosquitto._free_port", lambda: next(ports, None) or real())
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "third") as third:
        assert third.port != mosquitto.port
        assert any("Address already in use" in line for line in third.errors)


def test_its_files_are_private_and_hold_no_clear_password(mosquitto_binary, tmp_path):
    users = {"someone": "a long password"}
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b", users=users, acl="user someone\n"):
        for name in ("mosquitto.conf", "acl", "passwords"):
            path = tmp_path / "b" / name
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert "a long password" not in path.read_text()


def test_a_password_entry_is_the_one_that_mosquitto_passwd_writes(tmp_path):
    tool = Path("/usr/bin/mosquitto_passwd")
    if not tool.exists():
        pytest.skip("no mosquitto_passwd on this machine: its own hash cannot be compared")
    subprocess.run([tool, "-b", "-c", tmp_path / "p", "someone", "a long password"], check=True)
    theirs = (tmp_path / "p").read_text().strip()
    import base64  # noqa: PLC0415  only this comparison needs it

    salt = base64.b64decode(theirs.split("$")[3])
    assert password_entry("someone", "a long password", salt=salt) == theirs


def test_retained_messages_survive_a_restart_when_it_persists(mosquitto_binary, tmp_path, reactor):
    import roads_under_test  # noqa: PLC0415

    for attempt in range(2):
        with EmbeddedMosquitto(mosquitto_binary, tmp_path / "b", persistence=True) as broker:
            harness = SessionHarness(reactor, broker, 5, tmp_path)
            road, inbox = harness.road(f"node-{attempt}"), roads_under_test.Inbox()
            if attempt == 0:
                road.publish("kept", b"word", qos=1, retain=True)
                wait_for(lambda road=road: road.counters.acked == 1)
            else:
                road.subscribe("kept", inbox)
                assert inbox.wait(1) == [b"word"]
            road.close()


def test_it_is_looked_for_in_the_cache_and_missing_names_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr("broker.mosquitto.shutil.which", lambda _name: None)
    monkeypatch.setattr("broker.mosquitto._SYSTEM_PATHS", ())
    with pytest.raises(MosquittoMissing, match="make demo"):
        find_mosquitto(tmp_path)
    cached = tmp_path / "mosquitto" / "bin" / "mosquitto"
    cached.parent.mkdir(parents=True)
    cached.write_text("#!/bin/sh\n")
    cached.chmod(0o755)
    assert find_mosquitto(tmp_path) == cached
    with pytest.raises(MosquittoFailed, match="not Mosquitto"):
        mosquitto_version(cached)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="looks into the broker with Linux's pidfd_getfd")
def test_both_ends_send_without_delay_and_data_keeps_little_in_the_kernel(mosquitto, reactor, tmp_path):
    harness = SessionHarness(reactor, mosquitto, 5, tmp_path)
    roads = {traffic: harness.road(f"node-{traffic.value}", traffic=traffic) for traffic in Traffic}
    ready(*roads.values())
    try:
        for traffic, road in roads.items():
            ours = road._lifeline.connection._sock
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if traffic is Traffic.DATA:
                assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 64 * 1024
                assert 0 < ours.getsockopt(socket.IPPROTO_TCP, 25) <= 64 * 1024
            with _theirs(mosquitto.pid, ours.getsockname()[1]) as theirs:
                assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        for road in roads.values():
            road.close(timeout_s=0.2)


def _theirs(pid: int, our_port: int) -> socket.socket:
    """The broker's end of our connection, duplicated out of its process."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = next(
        each for each in psutil.Process(pid).net_connections() if each.raddr and each.raddr.port == our_port
    )
    pidfd = os.pidfd_open(pid)
    try:
        descriptor = libc.syscall(PIDFD_GETFD, pidfd, found.fd, 0)
    finally:
        os.close(pidfd)
    if descriptor < 0:
        pytest.skip(f"this system forbids pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    return socket.socket(fileno=descriptor)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def test_sigterm_to_the_leash_ends_the_broker(mosquitto):
    child = psutil.Process(mosquitto.pid)
    mosquitto._stopping.set()
    os.kill(mosquitto._leash.pid, signal.SIGTERM)
    wait_for(lambda: not child.is_running(), what="the broker to be gone")


def test_it_comes_back_though_starting_it_again_failed_at_first(mosquitto, monkeypatch):
    real, failures = mosquitto._spawn, iter([OSError("no process left")] * 2)

    def spawn():
        for failure in failures:
            raise failure
        return real()

    monkeypatch.setattr(mosquitto, "_spawn", spawn)
    os.kill(mosquitto.pid, signal.SIGKILL)
    wait_for(lambda: mosquitto.restarts == 1 and _accepts(mosquitto.port))
    assert sum("no process left" in line for line in mosquitto.errors) == 2
