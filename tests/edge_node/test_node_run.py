"""The ``node`` and ``telemetry`` commands as processes, over a real Mosquitto, with the real models."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from broker.mosquitto import EmbeddedMosquitto
from edge_node import record as record_module
from edge_node.cli import node, telemetry
from edge_node.errors import SourceError
from edge_node.record import VideoFile, record
from edge_node.render import captions, draw
from edge_node.sources import make_walk
from edge_node.state_lock import held

PYTHON = sys.executable
NODE = "from edge_node.cli import node; node()"
TAIL = "from edge_node.cli import telemetry; telemetry()"
WORKER = "from cloud_worker.cli import worker; worker()"


@pytest.fixture(scope="module")
def broker(mosquitto_binary, tmp_path_factory):
    with EmbeddedMosquitto(mosquitto_binary, tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture(scope="module")
def ring(hand_photos, tmp_path_factory):
    """A short walk over one photo with a hand."""
    folder = tmp_path_factory.mktemp("walk")
    photo = cv2.imread(str(hand_photos["handSrc.jpg"]))
    cv2.imwrite(str(folder / "hand.png"), photo)
    make_walk(folder, out=folder / "w.ring", fps=30, seconds=2, seed=4)
    return folder / "w.ring"


def command(broker, ring, models_dir, folder, **options):
    known = {
        "id": "hs-1",
        "broker": broker.url,
        "source": f"walk:{ring}",
        "state": folder / "state",
        "models": models_dir,
        "device-class": "xr-fast",
        "events": folder / "events.jsonl",
        "deadline-ms": 200,
    }
    words = [f"--{name}={value}" for name, value in {**known, **options}.items()]
    return [PYTHON, "-c", NODE, "run", *words, "--json"]


def lines(folder):
    return [json.loads(text) for text in (folder / "events.jsonl").read_text().splitlines()]


@contextmanager
def ending(said_in, words, **options):
    """A child whose stderr goes to a file; ended at the end, however that comes."""
    with said_in.open("w") as said:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True, **options)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=60)


def until_offloaded(headset, events, *, count, timeout_s=90):
    """Wait until so many frames were answered by the worker; how many frames that takes is the machine's affair."""
    deadline_s = time.monotonic() + timeout_s
    while not events.exists() or events.read_text().count('"path":"offload","latency') < count:
        assert time.monotonic() < deadline_s, "no frames were offloaded"
        assert headset.poll() is None, f"the headset ended with {headset.poll()}"
        time.sleep(0.05)


def test_a_headset_offloads_over_a_real_broker_and_tells_of_it(broker, ring, models_dir, tmp_path):
    """Its limits are those of a hang: on a full machine the children alone take half a minute to start."""
    worker_said, tail_said, node_said = (tmp_path / f"{who}.log" for who in ("worker", "tail", "node"))
    worker_words = [
        *(PYTHON, "-c", WORKER, "run", "--id=w-1", f"--broker={broker.url}", f"--models={models_dir}"),
        *("--task=hands", "--runtime=litert", f"--state={tmp_path}", "--json"),
    ]
    tail_words = [
        *(PYTHON, "-c", TAIL, "tail", f"--broker={broker.url}", "--count=1", "--seconds=120", "--json")
    ]
    with ending(worker_said, worker_words) as worker:
        ready = worker.stdout.readline()
        assert '"event": "ready"' in ready, f"no worker (exit {worker.poll()}): {worker_said.read_text()}"
        words = command(
            broker,
            ring,
            models_dir,
            tmp_path,
            policy="offload",
            seconds=100,
            fps=10,
            record=tmp_path / "overlay.mp4",
            **{"deadline-ms": 900},
        )
        with ending(tail_said, tail_words) as tail, ending(node_said, words) as headset:
            until_offloaded(headset, tmp_path / "events.jsonl", count=5)
            headset.send_signal(signal.SIGTERM)
            out = headset.communicate(timeout=60)[0]
            assert headset.returncode == 0, node_said.read_text()
            shown = tail.communicate(timeout=130)[0]
    assert shown, f"no telemetry (exit {tail.poll()}): {tail_said.read_text()}"
    told = json.loads(shown)
    summary = json.loads(out)
    assert summary["none"] == 0
    assert summary["paths"]["offload"] >= 5
    assert summary["simulated"] is True
    frames = [line for line in lines(tmp_path) if line["kind"] == "frame"]
    assert len(frames) == summary["scheduled"]
    offloaded = [line for line in frames if line["path"] == "offload"]
    assert any(line["hands"] and line["presence"][0] > 0.5 for line in offloaded)
    assert all(len(line["trace_id"]) == 32 for line in frames)
    assert (told["device"], told["simulated"]) == ("hs-1", True)
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    shape = (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FRAME_WIDTH))
    assert shape == (summary["scheduled"], 640)
    video.release()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stopped_headset_answers_what_is_pending_and_leaves_cleanly(
    broker, ring, models_dir, tmp_path, sent, code
):
    child = subprocess.Popen(
        command(broker, ring, models_dir, tmp_path, policy="local"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + 40
    events = tmp_path / "events.jsonl"
    while not (events.exists() and '"kind":"frame"' in events.read_text()):
        assert time.monotonic() < deadline_s, "no frame was answered"
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.05)
    os.kill(child.pid, sent)
    out, err = child.communicate(timeout=30)
    assert child.returncode == code, err
    summary = json.loads(out)
    frames = [line for line in lines(tmp_path) if line["kind"] == "frame"]
    assert len(frames) == summary["scheduled"] > 0
    assert summary["none"] == 0


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"id": "HS 1"}, 2, "is not allowed"),
        ({"device-class": "toaster"}, 2, "xr-slow"),
        ({"policy": "hope"}, 2, "split config"),
        ({"fps": 0}, 2, "--fps"),
        ({"mqtt": 4}, 2, "5 or 311"),
        ({"models": "/nothing"}, 2, "model import"),
        ({"source": "folder:/nothing"}, 3, "not a folder"),
        ({"source": "camera"}, 3, "webcam:0"),
        ({"broker": "nonsense"}, 3, "mqtt://"),
    ],
)
def test_what_cannot_run_is_refused_with_what_to_do(ring, models_dir, tmp_path, options, code, says):
    known = {
        "id": "hs-1",
        "broker": "mqtt://127.0.0.1:1",
        "source": f"walk:{ring}",
        "state": tmp_path,
        "models": models_dir,
    }
    words = [f"--{name}={value}" for name, value in {**known, **options}.items()]
    done = CliRunner().invoke(node, ["run", *words, "--seconds=0.1", "--json"])
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert done.stdout == ""


def test_two_headsets_cannot_share_a_state_folder(ring, models_dir, tmp_path):
    with held(tmp_path):
        words = ["--id=hs-1", "--broker=mqtt://127.0.0.1:1", f"--source=walk:{ring}", f"--state={tmp_path}"]
        done = CliRunner().invoke(node, ["run", *words, f"--models={models_dir}"])
    assert (done.exit_code, "--state" in done.stderr) == (3, True)


def test_a_video_without_hands_and_a_broker_that_is_down_are_no_failures(models_dir, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (320, 180))
    for step in range(30):
        writer.write(np.full((180, 320, 3), 60 + step, dtype=np.uint8))
    writer.release()
    words = [
        *("--id=hs-1", "--broker=mqtt://127.0.0.1:1", f"--source=video:{tmp_path / 'v.mp4'}", "--seconds=2"),
        *(f"--state={tmp_path / 'state'}", f"--models={models_dir}", "--fps=15", "--deadline-ms=300"),
        f"--record={tmp_path / 'o.mp4'}",
    ]
    done = subprocess.run(
        [PYTHON, "-c", NODE, "run", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["scheduled"], summary["none"], summary["paths"]["offload"]) == (30, 0, 0)
    events = (tmp_path / "state" / "events.jsonl").read_text().splitlines()
    frames = [line for line in map(json.loads, events) if line["kind"] == "frame"]
    assert all(line["hands"] == [] for line in frames)
    video = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    video.release()


def test_a_walk_is_rendered_from_the_command_line(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80, 3), 99, dtype=np.uint8))
    out = tmp_path / "w.ring"
    words = ["walk", "--photos", str(tmp_path), "--out", str(out), "--seconds", "0.2", "--json"]
    done = CliRunner().invoke(node, words)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["frames"] == 6
    done = CliRunner().invoke(node, ["walk", "--photos", str(tmp_path / "none"), "--out", str(out)])
    assert (done.exit_code, "not a folder" in done.stderr) == (3, True)


@pytest.mark.parametrize("app", [node, telemetry])
def test_help_shows_an_example(app):
    assert "Example" in CliRunner().invoke(app, ["--help"]).stdout


HAND = [v for point in range(21) for v in (0.2 + point / 60, 0.3 + point / 60, 0.0)]
LINE = {
    "kind": "frame",
    "headset": "hs-1",
    "frame_id": 3,
    "path": "offload",
    "mode": "offload",
    "model": "factory",
    "latency_ms": 12.3,
    "age_ms": 12.3,
    "rtt_ms": None,
    "outcome": "fresh_on_time",
    "hands": [HAND],
    "ring_index": 0,
}


def test_landmarks_are_drawn_where_they_are_and_the_frame_is_not_touched():
    frame = np.zeros((360, 640, 3), dtype=np.uint8)
    drawn = draw(frame, LINE)
    assert frame.max() == 0
    assert drawn[round(0.3 * 360), round(0.2 * 640)].min() > 200
    assert drawn[300, 40].max() == 0
    assert captions(LINE) == (
        "hs-1  frame 3  OFFLOAD  mode offload  factory",
        "latency 12.3 ms  age 12.3 ms  rtt - ms  fresh_on_time",
    )
    damaged = draw(frame, {**LINE, "hands": [[0.1, 0.2]], "path": "nowhere"})
    assert damaged[300, 40].max() == 0


def test_a_record_has_one_picture_per_frame_of_its_headset(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80, 3), 99, dtype=np.uint8))
    make_walk(tmp_path, out=tmp_path / "w.ring", fps=30, seconds=0.2)
    events = [
        LINE,
        {**LINE, "headset": "hs-2"},
        {"kind": "switch"},
        {**LINE, "frame_id": 2, "ring_index": -1},
    ]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
    out = tmp_path / "o.mp4"
    assert record(tmp_path / "e.jsonl", tmp_path / "w.ring", out, headset="hs-1") == 2
    assert out.stat().st_size > 1000


def test_a_video_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(SourceError, match=r"\.mp4"):
        VideoFile(tmp_path / "o.nothing", width=64, height=48, fps=30)


def test_a_record_kept_waiting_for_long_still_draws_every_answer_that_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(record_module, "IDLE_END_S", 0.02)
    events = tmp_path / "e.jsonl"
    events.write_text("".join(json.dumps({**LINE, "frame_id": n}) + "\n" for n in range(5)))
    numbers = []
    with events.open() as file:
        for line in record_module._follow_lines(file):
            if line is not None:
                numbers.append(line["frame_id"])
                time.sleep(0.05)  # a busy host: longer than a run that is over keeps silent
    assert numbers == [0, 1, 2, 3, 4]
