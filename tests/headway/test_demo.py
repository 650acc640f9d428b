"""``headway demo``: how it ends when it cannot begin, when it is interrupted, when a part dies; and once, whole."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections import Counter

import cv2
import pytest

from edge_node.sources import make_walk
from headway.checker import OUTCOMES
from headway.demo import DEADLINE_MS, HEADSETS
from headway.output_folder import alone
from headway.report import EXPECTED_REASONS
from tests.headway.door import headway, naming, python, refused, until

REGISTERED_S = 60
END_S = 40  # what takes longer hangs

# The demo with its set-up done before: real rooms, real models, a play that begins after seconds.
PREPARED = """
import json, pathlib, sys
from headway import demo
from headway.cli import main
from headway.material import Material
from inference.packages.package import open_package

told = json.loads(sys.argv[1])
lite = open_package(pathlib.Path(told["lite"]))
ready = Material(
    models=pathlib.Path(told["models"]), sources=("walk:" + told["ring"],) * 3, ring=pathlib.Path(told["ring"]),
    full=lite, small=lite, lite=lite, variant="lite", refused=("left out by this test",),
)
demo.prepare = lambda *given, **named: ready
demo.bad_rollouts = lambda **named: ()  # these runs end long before them
sys.argv = ["headway", "demo", *told["arguments"]]
main()
"""


class Running:
    """A demo in a process group of its own, as a terminal starts it."""

    def __init__(self, folder, told):
        self.out = folder / "out"
        self.errors = folder / "demo.err"
        told = {**told, "arguments": ["--out", str(self.out), "--json"]}
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*python(), "-c", PREPARED, json.dumps(told)],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "COLUMNS": "400"},
            )

    def said(self):
        return self.errors.read_text()

    def wait_for(self, text):
        def there():
            assert self.process.poll() is None, f"the demo ended: {self.said()}"
            return text in self.said()

        until(there, timeout_s=REGISTERED_S, what=f"{text!r} on stderr")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def running(packages, models_dir, photos, mosquitto_binary, tmp_path):
    ring = tmp_path / "walk.ring"
    make_walk(photos[0].parent, out=ring, fps=30.0, seconds=1.0)
    told = {
        "lite": str(packages["lite"].directory),
        "models": str(models_dir),
        "ring": str(ring),
    }
    playing = Running(tmp_path, told)
    with contextlib.closing(playing.process.stdout):
        yield playing
        playing.end()


# -- it cannot begin -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", ["5", "nan"])
def test_a_demo_too_short_or_without_end_is_a_usage_error(tmp_path, seconds):
    shown = refused("demo", f"--seconds={seconds}", "--out", str(tmp_path / "out"))
    assert shown.exit_code == 2
    assert "at least 30" in shown.stderr
    assert not (tmp_path / "out").exists()


def test_a_second_demo_at_once_is_refused_with_the_fix(tmp_path):
    out = tmp_path / "out"
    with alone(out):
        (out / "report.json").write_text("{}")
        shown = headway("demo", "--out", str(out))
    assert shown.returncode == 3
    assert "another demo writes to" in shown.stderr
    assert "--out" in shown.stderr
    assert (out / "report.json").read_text() == "{}"


def test_an_output_folder_is_free_again_once_its_demo_ended(tmp_path):
    for _ in range(2):
        with alone(tmp_path):
            pass


def test_a_source_that_is_nothing_is_named_with_the_fix(models_dir, mosquitto_binary, photos, tmp_path):
    shown = headway("demo", "--source", "no-such.mp4", "--out", str(tmp_path / "out"))
    assert shown.returncode == 3
    assert "no source 'no-such.mp4': pass a webcam's number" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not naming(tmp_path)


# -- it is ended early ---------------------------------------------------------------------------------


def test_ctrl_c_ends_the_children_and_leaves_a_partial_report(running, tmp_path):
    running.wait_for("registered itself")
    os.killpg(running.process.pid, signal.SIGINT)
    output, _ = running.process.communicate(timeout=END_S)
    assert running.process.returncode == 130, running.said()
    until(lambda: not naming(running.out), timeout_s=END_S, what="the end of every child")
    report = json.loads((running.out / "report.json").read_text())
    assert report["interrupted"]
    assert report["shortfalls"] == []
    assert any(entry["registered_s"] for entry in report["headsets"])
    assert json.loads(output) == report
    assert (running.out / "events.jsonl").is_file()
    assert "Traceback" not in running.said()


def test_a_worker_that_dies_ends_the_demo_with_its_name(running):
    running.wait_for("publishing the models")
    worker = next(
        process
        for process in naming(running.out)
        if "worker run" in (line := " ".join(process.info["cmdline"])) and "leash" not in line
    )
    worker.kill()
    running.process.wait(END_S + REGISTERED_S)
    assert running.process.returncode == 1, running.said()
    report = json.loads((running.out / "report.json").read_text())
    assert "w-1 died with status 137" in report["error"]
    assert not report["interrupted"]
    assert any("w-1 died" in text for text in report["shortfalls"])
    assert "Traceback" not in running.said()
    assert not naming(running.out)


# -- and once, whole -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(models_dir, photos, mosquitto_binary, tmp_path_factory):
    """One demo of the shortest length; its exit code, report, folder and what it said."""
    out = tmp_path_factory.mktemp("demo")
    shown = headway("demo", "--seconds", "30", "--json", "--out", str(out), timeout_s=170)
    return shown, out


@pytest.mark.timeout(180)
def test_the_main_job_end_to_end(whole):
    shown, out = whole
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report == json.loads((out / "report.json").read_text())
    assert not report["interrupted"]
    assert report["error"] is None

    assert [entry["id"] for entry in report["headsets"]] == list(HEADSETS)
    for entry in report["headsets"]:
        assert entry["registered_s"] > 0
        assert entry["none"] == 0
        assert entry["scheduled"] == sum(entry[outcome] for outcome in OUTCOMES)
    assert sum(entry["paths"]["local"] for entry in report["headsets"]) > 0
    assert sum(entry["paths"]["offload"] for entry in report["headsets"]) > 0

    group, *bad = report["deployments"]
    assert (group["group"], group["outcome"], group["succeeded"]) == ("line-a", "succeeded", 2)
    assert [row["outcome"] for row in bad] == ["failed"] * 3
    reasons = {reason for row in bad for reason in EXPECTED_REASONS if reason in row["reason"]}
    assert reasons == set(EXPECTED_REASONS)

    assert report["outage"]["headset"] == HEADSETS[0]
    assert report["outage"]["seconds"] >= 3
    assert report["checker"] == {"agrees": True, "findings": []}
    assert report["shortfalls"] == []


@pytest.mark.timeout(180)
def test_the_demos_files_say_what_its_report_says(whole):
    shown, out = whole
    report = json.loads((out / "report.json").read_text())
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    lines = Counter(event["headset"] for event in events if event["kind"] == "frame")
    assert lines == {entry["id"]: entry["scheduled"] for entry in report["headsets"]}
    assert {"cut", "restored"} <= {event["kind"] for event in events}
    assert {event["deadline_ms"] for event in events if event["kind"] == "frame"} == {float(DEADLINE_MS)}
    models = {
        event["model"] for event in events if event["kind"] == "frame" and event["headset"] == HEADSETS[2]
    }
    assert len(models) == 1, "a headset of no group keeps the model that it was delivered with"
    assert re.search(r"the network of hs-1 is cut for 3 s", shown.stderr)

    video = cv2.VideoCapture(str(out / "overlay.mp4"))
    try:
        read, image = video.read()
        assert read
        assert image.shape == (360, 640, 3)
        shown_frames = sum(
            1
            for event in events
            if event["kind"] == "frame" and event["headset"] == HEADSETS[0] and event["ring_index"] >= 0
        )
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == shown_frames > 0
    finally:
        video.release()
    for name in ("overlay.jpg", "latency.png"):
        picture = cv2.imread(str(out / name))
        assert picture is not None
        assert picture.std() > 1, f"{name} shows something"
    assert not list(out.glob("*.part*"))
    assert not naming(out)
