"""A whole site on a broker that asks everybody for a password and keeps each to its own topics."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import cv2
import httpx
import pytest

from broker.access import acl_text, user
from broker.mosquitto import EmbeddedMosquitto
from edge_node.sources import make_walk
from schemas.topics import Role

SITE = "plant-1"
ROLES = {
    "hs-1": Role.DEVICE,
    "w-1": Role.WORKER,
    "office": Role.MANAGER,
    "wall": Role.INTEGRATION,
}
USERS = {own: user(role, own, site=SITE) for own, role in ROLES.items()}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """One password file per client."""
    folder = tmp_path_factory.mktemp("secrets")
    for own in [*USERS, "wrong"]:
        (folder / own).touch(0o600)
        (folder / own).write_text(f"the password of {own}\n")
    return folder


@pytest.fixture(scope="module")
def broker(mosquitto_binary, tmp_path_factory):
    passwords = {who.name: f"the password of {own}" for own, who in USERS.items()}
    folder = tmp_path_factory.mktemp("mosquitto")
    with EmbeddedMosquitto(
        mosquitto_binary, folder, acl=acl_text(USERS.values()), users=passwords
    ) as running:
        yield running


@pytest.fixture
def ring(hand_photos, tmp_path):
    (tmp_path / "photos").mkdir()
    photo = cv2.imread(str(hand_photos["handSrc.jpg"]))
    cv2.imwrite(str(tmp_path / "photos" / "hand.png"), photo)
    make_walk(tmp_path / "photos", out=tmp_path / "w.ring", fps=10, seconds=2, seed=4)
    return tmp_path / "w.ring"


def headway(*words, **streams):
    """A command as a process, away from settings of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_MQTT")}
    command = [sys.executable, "-m", "headway", *(str(word) for word in words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept, **streams
    )


def login(own, secrets, *, secret=None):
    return ("--username", USERS[own].name, "--password-file", secrets / (secret or own))


def eventually(check, *, within_s=30.0):
    deadline_s = time.monotonic() + within_s
    while not (value := check()):
        assert time.monotonic() < deadline_s, "did not come true in time"
        time.sleep(0.02)
    return value


def test_headset_worker_manager_and_a_listener_do_their_work(broker, ring, models_dir, secrets, tmp_path):
    where = ("--broker", broker.url, "--site", SITE)
    with ExitStack() as stack:

        def start(*words, own):
            child = headway(*words, *where, *login(own, secrets), "--json")
            stack.callback(child.communicate, timeout=20)
            stack.callback(child.terminate)
            return child

        manager = start(
            *("manager", "run", "--id", "office", "--artifacts", tmp_path / "m", "--listen", "127.0.0.1:0"),
            own="office",
        )
        worker = start(
            *("worker", "run", "--id", "w-1", "--models", models_dir, "--state", tmp_path / "w"), own="w-1"
        )
        tail = start("telemetry", "tail", "--count", "1", "--seconds", "90", own="wall")
        devices = json.loads(manager.stdout.readline())["url"] + "/v1/devices"
        assert json.loads(worker.stdout.readline())["event"] == "ready"
        node = start(
            *("node", "run", "--id", "hs-1", "--source", f"walk:{ring}", "--state", tmp_path / "n"),
            *("--models", models_dir, "--policy", "offload", "--deadline-ms", "300", "--fps", "5"),
            *("--seconds", "5"),
            own="hs-1",
        )
        seen = eventually(lambda: httpx.get(devices).json())
        assert [(each["id"], each["admission"]) for each in seen] == [("hs-1", "pending")]
        assert httpx.post(f"{devices}/hs-1/approve").json()["admission"] == "admitted"
        told = json.loads(tail.stdout.readline())
        summary = json.loads(node.stdout.readline())
    assert told["device"] == "hs-1"
    assert summary["paths"]["offload"] > 0
    assert summary["none"] == 0


def test_a_wrong_password_ends_every_command_with_exit_3_and_the_fix(
    broker, ring, models_dir, secrets, tmp_path
):
    words = {
        "hs-1": ("node", "run", "--id", "hs-1", "--source", f"walk:{ring}", "--state", tmp_path / "n")
        + ("--models", models_dir),
        "w-1": ("worker", "run", "--id", "w-1", "--runtime", "null", "--state", tmp_path / "w"),
        "office": ("manager", "run", "--artifacts", tmp_path / "m", "--listen", "127.0.0.1:0"),
        "wall": ("telemetry", "tail"),
    }
    children = [
        headway(*each, "--broker", broker.url, "--site", SITE, *login(own, secrets, secret="wrong"))
        for own, each in words.items()
    ]
    for child in children:
        _out, errors = child.communicate(timeout=60)
        assert child.returncode == 3, errors
        assert "check --username and --password-file" in errors
        assert "the password of wrong" not in errors
