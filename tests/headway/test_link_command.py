"""The forwarding process under scripts, and the command that holds it open."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from headway.cli import build
from headway.link import Link, LinkError
from tests.headway.door import python
from tests.headway.test_link import connected, echo, echo_server, linked, read

ROUGH = [
    {"what": "delay", "ms": 3},
    {"what": "jitter", "ms": 2, "kind": "pareto"},
    {"what": "rate", "mbps": 80},
    {"what": "rate", "mbps": 40, "direction": "up"},
    {"what": "loss", "share": 0.002},
    {"what": "stall", "at_s": 0.05, "for_s": 0.1, "direction": "down"},
    {"what": "cut", "at_s": 0.25, "for_s": 0.15},
]


def run(*words):
    return CliRunner().invoke(build(["link"]), ["link", *words])


def test_bytes_arrive_whole_and_in_order_under_everything_at_once():
    data = os.urandom(1_500_000)
    with linked() as (link, client):
        link.follow(ROUGH, seed=4)
        began_s = time.monotonic()
        sender = threading.Thread(target=client.sendall, args=(data,), daemon=True)
        sender.start()
        assert read(client, len(data)) == data
        sender.join(5)
        # 40 Mbit/s for 1.5 MB; the model lets nothing out sooner
        assert time.monotonic() - began_s >= len(data) / 5_000_000
        assert link.counts().down_bytes == len(data)


def test_a_scripted_cut_holds_bytes_and_new_connections_until_it_ends():
    with linked() as (link, client):
        echo(client, b"before")
        began_s = time.monotonic()
        link.follow([{"what": "cut", "for_s": 0.4}])
        with connected(link) as late:
            late.sendall(b"late")
            assert echo(client, b"during") == b"during"
            assert time.monotonic() - began_s >= 0.4
            assert read(late, 4) == b"late"


def test_a_new_script_ends_the_cut_of_the_old_one():
    with linked() as (link, _client):
        link.follow([{"what": "cut", "for_s": 1000}])
        link.follow([])
        with connected(link) as other:
            assert echo(other, b"free") == b"free"


def test_a_wrong_script_is_an_error_and_the_link_goes_on():
    with linked() as (link, client):
        with pytest.raises(LinkError, match=r"row 1 \(delay\): ms is missing"):
            link.follow([{"what": "delay"}])
        assert echo(client, b"on") == b"on"


def test_a_port_that_is_taken_is_an_error():
    with linked() as (link, _client), pytest.raises(LinkError, match="choose another"):
        Link("127.0.0.1", 1, listen_port=link.port).start()


@contextmanager
def held(*options):
    """The real command before an echo server, with one connection that works."""
    with echo_server() as port:
        child = subprocess.Popen(
            [*python(), "-m", "headway", "link", f"127.0.0.1:{port}", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            opened = json.loads(child.stdout.readline())
            there = SimpleNamespace(child=child, opened=opened, port=int(opened["url"].rpartition(":")[2]))
            (there.forwarder,) = psutil.Process(child.pid).children()
            with connected(there) as client:
                assert echo(client, b"hello") == b"hello"
                there.client = client
                yield there
        finally:
            child.kill()
            child.communicate(timeout=20)


def echo_for_ever(client):
    while True:
        echo(client, b"on")


def assert_nothing_is_left(there):
    """No process, no connection, nobody on the port."""
    gone, alive = psutil.wait_procs([there.forwarder], timeout=10)
    assert (len(gone), alive) == (1, [])
    with suppress(ConnectionResetError):  # where the process ended with bytes unread
        assert there.client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", there.port), timeout=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_opens_a_link_and_tells_what_went_over_it_and_why_it_ended(number):
    with held("--delay-ms", "5") as there:
        assert there.opened["steps"] == [{"what": "delay", "ms": 5.0}]
        there.child.send_signal(number)
        out, err = there.child.communicate(timeout=20)
        assert (there.child.returncode, err) == (0, "")
        counts = {"connections": 1, "up_bytes": 5, "down_bytes": 5}
        assert json.loads(out) == {"event": "closed", "why": number.name, **counts}
        assert_nothing_is_left(there)


def test_a_killed_command_leaves_nothing_behind():
    with held() as there:
        there.child.kill()
        assert_nothing_is_left(there)


def test_a_killed_command_leaves_nothing_behind_in_the_middle_of_a_cut(tmp_path):
    script = tmp_path / "cut.yaml"
    script.write_text("- {what: cut, at_s: 1, for_s: 1000}")
    with held("--script", str(script)) as there:
        there.client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            echo_for_ever(there.client)
        there.client.settimeout(10)
        there.child.kill()
        assert_nothing_is_left(there)


def test_a_command_whose_forwarding_process_was_killed_says_so_and_fails():
    with held() as there:
        there.forwarder.kill()
        out, err = there.child.communicate(timeout=20)
        assert (there.child.returncode, out) == (1, "")
        assert err.startswith("headway link: the link's process has ended")
        assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_below_the_output_ends_the_link():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*python(), "-m", "headway", "link", "127.0.0.1:9", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("headway: what it says cannot be written")


def test_the_command_ends_by_itself_and_plays_deliveries(tmp_path):
    trace = tmp_path / "up.trace"
    trace.write_text("1\n2\n")
    shown = run("127.0.0.1:9", "--trace", str(trace), "--for-s", "0.05")
    assert shown.exit_code == 0, shown.stderr
    assert "leads to 127.0.0.1:9; 1 steps" in shown.stdout
    assert "closed, its time is over: connections 0" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 2, "write HOST:PORT"),
        (["h:1", "--loss", "1"], 2, "loss is 1"),
        (["h:1", "--jitter-ms", "1", "--jitter", "odd"], 2, "write one of"),
        (["h:1", "--script", "none.yaml"], 3, "none.yaml is not there"),
    ],
)
def test_what_the_command_cannot_use_is_named(words, code, told):
    shown = run(*words)
    assert (shown.exit_code, shown.stdout) == (code, "")
    assert told in shown.stderr


def test_recorded_delays_need_the_rate_that_the_run_assumes(tmp_path):
    path = tmp_path / "ping.txt"
    path.write_text("64 bytes from x: icmp_seq=1 ttl=64 time=190 ms\n")
    shown = run("h:1", "--trace", str(path))
    assert shown.exit_code == 2
    assert "--rate-mbps" in shown.stderr
