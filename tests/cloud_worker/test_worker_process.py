"""The real thing: `worker run` as a process, a real Mosquitto, real models, a real photo."""

import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import structlog
from typer.testing import CliRunner

from cloud_worker.cli import worker
from cloud_worker.errors import WorkerError
from cloud_worker.main import WorkerOptions, run_worker
from inference.runtimes.registry import open_runtime
from inference.tasks.hands import HandTask
from schemas.codec import Encoder
from schemas.documents import WorkerPresence, parse_document
from schemas.messages import Frame, Ping, Result, Task
from schemas.topics import topic
from tests.cloud_worker.builders import BOOT, frame, header
from tests.cloud_worker.conftest import SITE, headset_on, until

SECOND = 1_000_000


@contextmanager
def worker_process(
    *options: str, folder: Path, url: str, log: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    command = [sys.executable, "-c", "from cloud_worker.cli import worker; worker()", "run", "--json"]
    command += ["--id", "w-1", "--site", SITE, "--broker", url, "--state", str(folder), *options]
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("w"))
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        )
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    process.send_signal(signal.SIGTERM)
    report = json.loads(process.stdout.readline())
    assert process.wait(10) == 0
    return report


def photo_frame(photo: Path, *, frame_id: int = 1) -> tuple[Frame, np.ndarray]:
    """A real photo with a hand, as the headset would send it, and its pixels as anybody would decode them."""
    image = cv2.imread(str(photo))
    image = cv2.resize(
        image, (640, round(640 * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA
    )
    payload = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    height, width = image.shape[:2]
    pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return frame(
        payload=payload, width=width, height=height, frame_id=frame_id, budget_us=20 * SECOND
    ), pixels


def direct_hands(pixels: np.ndarray, models_dir: Path) -> list[np.ndarray]:
    litert = open_runtime("litert")
    task = HandTask(
        palm=litert.load(models_dir / "palm_detection_full.tflite"),
        landmark=litert.load(models_dir / "hand_landmark_full.tflite"),
    )
    return [hand.landmarks for hand in task.run(pixels).hands]


def test_a_photo_gets_the_landmarks_that_the_task_finds_on_the_same_pixels(
    mosquitto, models_dir, hand_photos, tmp_path
):
    photo = hand_photos["Threshold_inRange_Tutorial_Result_input.jpeg"]
    sent, pixels = photo_frame(photo)
    expected = direct_hands(pixels, models_dir)
    assert expected
    with (
        worker_process("--models", str(models_dir), folder=tmp_path, url=mosquitto.url) as (process, ready),
        headset_on(mosquitto.url) as headset,
    ):
        reply = headset.ask(sent)
        pooled = headset.ask(photo_frame(photo, frame_id=2)[0], worker="any")
        report = finish(process)
    assert isinstance(reply, Result)
    assert [hand.landmarks.tobytes() for hand in reply.hands] == [points.tobytes() for points in expected]
    assert reply.header.model_digest.hex() == ready["models"]["hands"]
    assert (reply.header.frame_id, reply.header.boot_id) == (1, BOOT)
    assert reply.timing.run_us > 0
    assert reply.timing.decode_us > 0
    assert len(reply.next_rois) == len(reply.hands)
    assert isinstance(pooled, Result)
    assert pooled.header.frame_id == 2
    assert (report["answered"], report["drained"]) == (2, True)


def test_a_null_worker_answers_with_the_size_asked_for_and_says_goodbye(mosquitto, tmp_path):
    seen: list[WorkerPresence] = []
    with headset_on(mosquitto.url, device="watcher") as watcher:
        watcher._road.subscribe(
            topic("worker-presence", site=SITE, worker="w-1"),
            lambda delivery: seen.append(parse_document(WorkerPresence, delivery.payload)),
            qos=1,
        )
        options = ("--runtime", "null", "--null-reply-bytes", "700")
        with worker_process(*options, folder=tmp_path, url=mosquitto.url) as (process, _ready):
            until(lambda: seen and seen[-1].online, what="the worker's birth")
            reply = watcher.ask(frame())
            pong = watcher.ask(Ping(header=header(task=Task.PING, frame_id=5)))
            finish(process)
            until(lambda: not seen[-1].online, what="the worker's goodbye")
        first = seen[-1].session
        with worker_process(*options, folder=tmp_path, url=mosquitto.url) as (process, _ready):
            until(lambda: seen[-1].online, what="the second birth")
            assert seen[-1].session == first + 1
            process.kill()
            until(lambda: not seen[-1].online, what="the will")
            assert seen[-1].session == first + 1
    assert len(reply.part_payload) == 700
    assert (pong.header.frame_id, pong.hands, bytes(pong.part_payload)) == (5, (), b"")


def test_the_pool_and_the_drop_of_stored_frames_work_on_mqtt_3_1_1_too(mosquitto, tmp_path):
    options = ("--runtime", "null", "--protocol", "311")
    with headset_on(mosquitto.url) as headset:
        headset.send_bytes(Encoder().encode(frame(frame_id=1)), retain=True)
        until(lambda: headset._road.counters.sent >= 1, what="the stored frame")
        with worker_process(*options, folder=tmp_path, url=mosquitto.url) as (process, _ready):
            reply = headset.ask(frame(frame_id=2), worker="any")
            report = finish(process)
        headset.send_bytes(b"", retain=True)  # leave nothing behind for the next test
    assert isinstance(reply, Result)
    assert reply.header.frame_id == 2
    assert len(headset.replies) == 1
    assert report["dropped_retained"] == 1


def test_two_workers_of_one_id_both_stay_and_each_says_so(mosquitto, tmp_path):
    options = ("--runtime", "null")
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with ExitStack() as stack:
        for log in logs:
            stack.enter_context(
                worker_process(*options, folder=tmp_path / log.stem, url=mosquitto.url, log=log)
            )
        for log in logs:
            until(lambda log=log: "another worker is online" in log.read_text(), what=f"a word in {log.stem}")
        with headset_on(mosquitto.url) as headset:
            assert isinstance(headset.ask(frame()), Result)


@pytest.mark.parametrize(
    ("options", "code", "fix"),
    [
        (("--runtime", "abacus"), 2, "choose one of"),
        (("--models", "no-such-folder"), 2, "--models"),
        (("--task", "speech"), 2, "--runtime null"),
        (("--runtime", "null", "--site", "Bad Site"), 2, "site"),
        (("--runtime", "null", "--broker", "ftp://x"), 2, "mqtt://host:port"),
    ],
)
def test_a_wrong_option_ends_the_command_with_the_fix(options, code, fix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(worker, ["run", "--id", "w-1", "--broker", "mqtt://127.0.0.1:1", *options])
    assert outcome.exit_code == code, outcome.output
    assert fix in outcome.stderr


@pytest.fixture(autouse=True)
def _logs_of_this_process() -> Iterator[None]:
    """A command sets up logs on the stderr of its runner, which is closed when it ends."""
    yield
    structlog.reset_defaults()


def null_options(folder: Path, *, url: str) -> WorkerOptions:
    return WorkerOptions(worker="w-1", site=SITE, broker_url=url, state_dir=folder, runtime="null")


def test_a_broker_that_is_not_there_ends_the_worker_with_the_fix(tmp_path, free_port):
    options = null_options(tmp_path, url=f"mqtt://127.0.0.1:{free_port()}")
    announced: list[dict[str, object]] = []
    with pytest.raises(WorkerError, match="headway broker run"):
        run_worker(options, stop=threading.Event(), announce=announced.append, connect_timeout_s=0.3)
    assert not announced


def test_a_worker_told_to_stop_before_it_is_ready_never_says_that_it_is(tmp_path, free_port):
    stop, announced = threading.Event(), []
    stop.set()
    report = run_worker(
        null_options(tmp_path, url=f"mqtt://127.0.0.1:{free_port()}"), stop=stop, announce=announced.append
    )
    assert (announced, report["received"]) == ([], 0)


def test_what_lives_when_a_worker_is_ready_is_no_work_for_a_collection_while_it_answers(mosquitto, tmp_path):
    stop, aside = threading.Event(), []

    def announce(_introduction: dict[str, object]) -> None:
        aside.append(gc.get_freeze_count())
        stop.set()

    run_worker(null_options(tmp_path, url=mosquitto.url), stop=stop, announce=announce)
    assert aside[0] > 10_000
    assert gc.get_freeze_count() == 0


def test_help_shows_an_example():
    outcome = CliRunner().invoke(worker, ["run", "--help"])
    assert outcome.exit_code == 0
    assert "Example: headway worker run" in outcome.stdout


def test_a_worker_loads_neither_the_database_nor_the_web_server():
    code = "import cloud_worker.main, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"sqlalchemy", "alembic", "fastapi", "uvicorn", "matplotlib"} & set(loaded)
